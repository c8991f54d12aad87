"""Every page, as an operator and as an auditor, 360 and 1,440 pixels wide, in light and dark."""

from browser import fail

PAGES = ["/", "/orders", "/orders?status=lost", "/orders/order-of-the-console", "/orders/order-of-the-console?asOf=1",
         "/orders/order-of-the-console/events/1", "/orders/order-of-the-console/changes?from=1&to=2",
         "/orders/order-of-the-console/edit", "/sagas",
         "/sales", "/sales?from=2026-01-01&to=2020-01-01", "/log", "/log/1", "/log?streamId=x",
         "/audit", "/audit?actor=x", "/read-models", "/read-models/orders", "/read-models/orders?pk=ORDER%23order-of-the-console",
         "/read-models/steps?projection=orders&streamId=order-of-the-console", "/stock", "/stock/sku-123",
         "/parked-events", "/dead-letters", "/bulk-actions", "/bulk-actions/new?kind=retry_sagas", "/replay", "/platform",
         "/nowhere", "/sign-in"]
# What is answered otherwise than by 200: to everyone, and to an auditor.
STATUSES = {"/nowhere": 404, "/orders?status=lost": 422, "/sales?from=2026-01-01&to=2020-01-01": 422, "/log?streamId=x": 422,
            "/audit?actor=x": 422}
STATUSES_OF_AUDITOR = STATUSES | {page: 403 for page in PAGES if page.startswith("/read-models") or page.endswith("/edit")}
# Where an auditor sees that something is masked.
MASKED = ("/orders", "/orders/order-of-the-console", "/orders/order-of-the-console/events/1", "/log/1")
WIDTHS = (360, 1440)
SCHEMES = ("light", "dark")
# Nothing of it may be seen by an auditor.
PERSONAL = ("@example.com", "Cleo", "customer-of-", "private", "A" * 90)


def look_at_all(browser, shop, axe):
    """As an operator and as an auditor, who sees no personal data and no form that does anything."""
    for role, statuses in (("operator", STATUSES), ("auditor", STATUSES_OF_AUDITOR)):
        browser.ask("Network.clearBrowserCookies")
        browser.go(f"{shop.console}/sign-in")
        browser.write("#credential", shop.tokens[role])
        browser.click("form.sign-in button")
        for page in PAGES:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    browser.see(width, scheme)
                    browser.go(shop.console + page)
                    if browser.status() != statuses.get(page, 200):
                        fail(f"{page} is answered {browser.status()} to the {role}: {browser.text()[:2000]}")
                    look(browser, page, width, axe)
                    if role == "auditor":
                        check_auditor(browser, page)
                    browser.picture(f"{role}-{page.strip('/') or 'home'}")
            browser.check_events(shop.console)
    rules = "axe-core finds nothing serious" if axe else "axe-core was not there to ask"
    print(f"{len(PAGES)} pages for operator and auditor, 360 and 1,440 wide, light and dark: {rules}")


def look(browser, page, width, axe):
    if browser.value("document.documentElement.scrollWidth") > width:
        wide = browser.value("""[...document.querySelectorAll("body *")].filter(it => !it.closest(".wide") &&
            it.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(it => it.outerHTML.slice(0, 120)).slice(0, 3)""")
        fail(f"{page} is wider than {width}: {wide}")
    browser.check_text()
    if axe:
        browser.value(axe)
        found = browser.value("""axe.run(document, { resultTypes: ["violations"] }).then(found => found.violations
            .filter(it => ["serious", "critical"].includes(it.impact))
            .map(it => it.id + ": " + it.nodes.map(node => node.html.slice(0, 160)).join(" | ")))""")
        if found:
            fail(f"{page}, {browser.view}: {found}")


def check_auditor(browser, page):
    forms = browser.value("[...document.querySelectorAll('form[method=post]')].map(it => it.getAttribute('action'))")
    if [form for form in forms if form not in ("/sign-out", "/sign-in")]:
        fail(f"an auditor has forms on {page}: {forms}")
    if page in MASKED and "***" not in browser.text():
        fail(f"an auditor sees nothing that is masked on {page}: {browser.text()[:2000]}")
    html = browser.value("document.documentElement.outerHTML")
    seen = [text for text in PERSONAL if text in html]
    if seen:
        fail(f"an auditor sees {seen} on {page}: {html[max(0, html.index(seen[0]) - 300):][:600]}")
