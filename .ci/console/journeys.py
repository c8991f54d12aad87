"""The ten journeys of an operator and of support, from "something is wrong" to "it is repaired"."""

import time

from browser import fail
from shop import ATTACK, HOSTILE


class Person:
    """Somebody before the console. Every run has orders of its own, which end in `tag`."""

    def __init__(self, browser, shop, tag):
        self.browser, self.shop, self.tag, self.journey = browser, shop, tag, ""

    def id(self, name):
        return f"{name}-{self.tag}"

    def sign_in(self, role):
        self.browser.ask("Network.clearBrowserCookies")
        self.browser.go(f"{self.shop.console}/sign-in")
        self.browser.write("#credential", self.shop.tokens[role])
        self.browser.click("form.sign-in button")
        self.browser.has(f"{role}:")

    def sign_out(self):
        self.browser.click(".reader button")
        self.browser.go(f"{self.shop.console}/orders")
        self.browser.has("Token or API key")

    def go_to(self, page):
        self.browser.click(f"header a[href='{page}']")

    def look(self, *shown):
        """The page shows this, all that clients wrote is text, and nothing is wider than the window."""
        self.browser.has(*shown)
        self.browser.check_text()
        if self.browser.value("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            fail(f"{self.browser.where()} is too wide")
        self.pictures += 1
        self.browser.picture(f"journey-{self.journey}-{self.pictures}")

    def act(self, form, typed=(), chosen=(), says=": done."):
        """Sends a form of the page, and looks for what the next page says."""
        until = time.monotonic() + 60
        # An order's page has its forms once it shows the order's last event, a rebuild has them once no process works on it.
        while not self.browser.value(f"document.querySelector({form!r}) !== null") and time.monotonic() < until:
            time.sleep(0.2)
            self.browser.reload()
        if self.browser.value(f"document.querySelector({form!r})?.open === false"):
            self.browser.click(f"{form} summary", leads_on=False)
        for name, text in dict(typed).items():
            self.browser.write(f"{form} [name='{name}']", text)
        for name, option in dict(chosen).items():
            self.browser.choose(f"{form} [name='{name}']", option)
        self.browser.click(f"{form} form button")
        said = self.browser.value("document.querySelector('.said')?.innerText ?? ''")
        if says not in said:
            fail(f"{form} is not done: {said!r}, {self.browser.text()[:2000]}")

    def until(self, selector, text, seconds=60):
        """Loads the page again until an element says this."""
        until = time.monotonic() + seconds
        while (now := self.browser.value(f"document.querySelector({selector!r})?.innerText ?? ''")) != text:
            if time.monotonic() > until:
                fail(f"{self.browser.where()}: {selector} says {now!r}, not {text!r}: {self.browser.text()[:2000]}")
            time.sleep(0.2)
            self.browser.reload()


def one_is_stuck(it):
    """Home says that a saga is stuck; it is retried with a reason, and the order is confirmed."""
    order, method = it.id("stuck"), f"pm_stuck_{it.tag}"
    it.shop.stuck(method, order, why=f" {ATTACK}")
    it.browser.go(f"{it.shop.console}/")
    it.until("#stuck strong", "1")
    it.look("sagas stuck")
    it.browser.click("#stuck")
    it.look("authorize payment", f"No such PaymentMethod: {method} <script>")
    it.browser.click(f"tbody th a[href='/orders/{order}#actions']")
    it.look("stuck at the step authorize payment", "What can be done")
    it.shop.mend(method)
    it.act("details[id$='-retry-authorize_payment-0']", {"/reason": f"the provider is mended {it.tag}"})
    it.browser.until("Confirmed since")
    it.until("#sagas .tag", "completed")
    it.look("operator intervened")


def stuck_ones_are_decided(it):
    """What was done at the provider is recorded by hand; what can't be done is undone."""
    method = f"pm_decided_{it.tag}"
    marked, undone = it.id("marked"), it.id("undone")
    it.shop.stuck(method, marked, undone)
    for order, verb, typed, status, saga in [
        (marked, "mark-succeeded", {"/reference": f"pi_by_hand_{it.tag}"}, "Confirmed since", "completed"),
        (undone, "compensate", {"/customerMessage": "We can't charge your card."}, "Rejected since", "compensated"),
    ]:
        it.go_to("/sagas")
        it.browser.click(".tabs a[href='/sagas?state=stuck']")
        it.browser.click(f"tbody th a[href='/orders/{order}#actions']")
        it.act(f"details[id$='-{verb}-authorize_payment-0']", {"/reason": "the provider says so"} | typed)
        it.browser.until(status)
        it.until("#sagas .tag", saga)
        it.look("the provider says so")


def many_are_stuck(it):
    """Some of many are ticked and retried, then all that are stuck for the same reason; each time it is said before how many those are."""
    method, orders = f"pm_many_{it.tag}", [it.id(f"many-{number}") for number in range(5)]
    it.shop.stuck(method, *orders)
    it.shop.mend(method)

    def begin(count):
        it.look(f"{count} stuck sagas match.")
        it.browser.write("#bulk-actions [name='/reason']", f"the provider is back {it.tag}")
        it.browser.click("#bulk-actions button")
        it.until("#progress .tag", "finished")
        it.look(f"{count} of {count}", f"the provider is back {it.tag}")

    it.go_to("/sagas")
    it.browser.click(".tabs a[href='/sagas?state=stuck']")
    it.look(*orders)
    for order in orders[:2]:
        it.browser.click(f"input[value='{order}'][type=checkbox]", leads_on=False)
    it.browser.click("form[action='/bulk-actions/new'] button[value=retry_sagas]")
    begin(2)
    it.go_to("/bulk-actions")
    it.look("retry sagas")
    it.browser.click("main a[href='/sagas?state=stuck']")
    it.browser.click(f"a[href^='/bulk-actions/new?kind=retry_sagas'][href*='{method}']")
    begin(3)
    it.browser.click("header a.brand")
    it.until("#stuck strong", "0")


def events_are_parked(it):
    """What a subscription could not handle is handled again once it is mended, or skipped."""
    mended, skipped = it.id("mended"), it.id("skipped")
    for order in (mended, skipped):
        it.shop.confirmed(order)
    it.browser.go(f"{it.shop.console}/")
    it.shop.park(mended, skipped)
    it.until("#parked strong", "2")
    it.browser.click("#parked")
    it.look(mended, skipped, "missing field")
    it.shop.unspoil(mended, skipped)
    form = "details[id^='subscriptions-orders-parked-events-{}-{}']"
    it.act(form.format(mended, "retry"), says="Retry: done.")
    it.act(form.format(skipped, "skip"), {"/reason": "it was written twice"}, says="Skip: done.")
    it.browser.until("None is parked.")
    it.look()


def a_read_model_is_rebuilt(it):
    """A rebuild finds what was skipped, takes the live one's place all the same, and is put back."""
    it.go_to("/replay")
    it.browser.click("input[value=orders][type=checkbox]", leads_on=False)
    it.browser.click("form[action='/replay'] button")
    it.look("Events to fold")
    it.act("#admin-replays", chosen={"/compare:bool": "only if they are alike"}, says="Rebuild: done.")
    it.until("article h3 .tag", "different")
    it.look("Comparison of orders")
    it.act("article details:has(form[action='/admin/replays'])", says="Go on: done.")
    it.until("article h3 .tag", "done")
    it.act("#admin-rollbacks", chosen={"/projection": "orders"}, says="Put the previous generation back: done.")
    it.look("Rebuilds")


def an_event_and_what_came_of_it(it):
    """From a decision in the log to what came of it, and on to its stream."""
    it.go_to("/log")
    it.browser.choose("#f-type", "OperatorIntervened")
    it.browser.click("form.filter button")
    it.look("operator intervened")
    it.browser.click("tbody th a")
    it.look("What it says", "What it came of, and what came of it")
    it.browser.click(".causes li:not([aria-current]):last-child a")
    it.look("What it says", "because of")
    it.browser.click("nav[aria-label='The log'] a[href*='streamId=']")
    it.look("order created")


def who_did_it(it):
    """The audit has what was done on the first journey, by whom and why."""
    it.go_to("/audit")
    it.look(f"the provider is mended {it.tag}", "operator:")
    it.browser.click("tbody td a[href^='/audit?actor=operator']")
    it.look(f"the provider is mended {it.tag}")
    it.browser.click(f"tbody tr:has(a[href='/orders/{it.id('stuck')}']) td.number a")
    it.look("What it says", "operator intervened")


def a_mail_is_sent_again(it):
    """Support finds an order by an e-mail address, and sends its mail again."""
    order = it.id("mailed")
    it.shop.confirmed(order)
    it.go_to("/orders")
    it.browser.write("#f-q", f"{order}@example.com")
    it.browser.click("form.filter button")
    it.look(order)
    it.browser.click(f"tbody a[href='/orders/{order}']")
    it.browser.until("SES id")
    it.act(f"details[id^='orders-{order}-mails-'][id$='-resend']")
    # The provider has its own id for each.
    mails = "new Set(document.querySelector('section[aria-labelledby=mails]').innerText.match(/SES id \\S+/g)).size"
    until = time.monotonic() + 60
    while it.browser.value(mails) < 2:
        if time.monotonic() > until:
            fail(f"the mail of {order} is not sent again: {it.browser.text()[:3000]}")
        time.sleep(0.2)
        it.browser.reload()
    it.look("Mails")


def an_order_as_it_was(it):
    """An order is held, released and noted; its versions are looked at and compared."""
    order = it.id("held")
    it.shop.confirmed(order)
    it.browser.go(f"{it.shop.console}/orders?q={order}")
    it.browser.click(f"tbody a[href='/orders/{order}']")
    it.act(f"#orders-{order}-hold", {"/reason": "the address is unclear"}, says="Put on hold: done.")
    it.look("On hold since", "the address is unclear")
    it.act(f"#orders-{order}-notes", {"/text": f"called {HOSTILE}"}, says="Add a note: done.")
    it.look("called =1+1 <script>", "⟨U+202E⟩")
    it.act(f"details[id^='orders-{order}-release']")
    it.look("order released")
    it.browser.write("#as-of", "1")
    it.browser.click("form.version button")
    it.look("As it was at version 1", "Pending since")
    it.browser.click("nav[aria-label=Versions] a[rel=next]")
    it.look("As it was at version 2")
    it.browser.click("nav[aria-label=Versions] a[href*='/changes?from=2']")
    it.look("Changes of order", "Before", "After")
    it.browser.write("#from", "1")
    it.browser.click("form.version button")
    it.look("Changes of order", "not there")
    it.browser.click(f"main a[href='/orders/{order}']")
    it.browser.click(".timeline details summary", leads_on=False)
    it.look('"customerEmail"')


def goods_come_back(it):
    """Support announces a return, goods are received and paid back; a line of another order is cancelled."""
    order, other = it.id("returned"), it.id("cancelled")
    for one in (order, other):
        it.shop.confirmed(one)
    it.shop.ask(f"/orders/{order}/ship", {})
    it.shop.settled(order, lambda now: now["paymentStatus"] == "captured", "captured")
    it.browser.go(f"{it.shop.console}/orders/{order}")
    line = "/lines/lineNumber=1/quantity:number"
    it.act(f"#orders-{order}-returns", {line: "1", "/reason": "too small"}, says="Announce a return: done.")
    it.look("Returns", "too small")
    it.sign_in("operator")
    it.browser.go(f"{it.shop.console}/orders/{order}")
    it.act(f"details[id^='orders-{order}-returns-'][id$='-receive']", {line: "1"}, {"/lines/lineNumber=1/condition": "sellable"})
    it.browser.until(", made ")
    it.look("Refunds", "sellable")
    it.sign_in("support")
    it.browser.go(f"{it.shop.console}/orders/{other}")
    it.act(f"#orders-{other}-cancel", {line: "1", "/reason": "out of print"}, says="Cancel: done.")
    it.browser.until("Cancelled lines")
    it.look("out of print")


OPERATOR = [one_is_stuck, stuck_ones_are_decided, many_are_stuck, events_are_parked, a_read_model_is_rebuilt,
            an_event_and_what_came_of_it, who_did_it]
SUPPORT = [a_mail_is_sent_again, an_order_as_it_was, goods_come_back]


def go_all(browser, shop, tag):
    """All ten, each with its pictures."""
    it = Person(browser, shop, tag)
    for role, journeys in (("operator", OPERATOR), ("support", SUPPORT)):
        it.sign_in(role)
        if browser.is_by_keyboard:
            browser.click(".skip", leads_on=False)
            if browser.value("document.activeElement.id") != "content":
                fail("the first link does not skip to the content")
        for journey in journeys:
            began = time.monotonic()
            it.journey, it.pictures = journey.__name__, 0
            journey(it)
            browser.check_events(shop.console)
            print(f"{tag}: {journey.__doc__} {time.monotonic() - began:.1f} s", flush=True)
        it.sign_out()
