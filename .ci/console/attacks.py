"""Attacks on the forms, from a page of another origin in the browser of an operator who is signed in; and on the files."""

import csv
import html
import io
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from browser import fail
from journeys import Person
from shop import HOSTILE

# Pages with forms. What they send is taken from them, as somebody could who knows the console.
WITH_FORMS = ["/orders/order-of-attacks", "/orders/order-of-attacks/edit", "/orders/held-of-attacks", "/orders/stuck-of-attacks",
              "/parked-events", "/replay", "/replay?projections=orders", "/bulk-actions/new?kind=retry_sagas"]
# What these do at least: what their addresses end with.
DEEDS = ("/cancel", "/hold", "/release", "/ship", "/notes", "/edits/preview", "/resend", "/saga/decisions", "/retry", "/skip",
         "/admin/replays", "/bulk-actions")
ELSEWHERE = "elsewhere.example"
FORMS = """[...document.querySelectorAll("form[method=post]")].map(it => ({ action: it.getAttribute("action"),
    fields: [...new FormData(it)].map(([name, value]) => [name, value || "forged"]) }))"""


class Page(ThreadingHTTPServer):
    """A page of somebody else."""

    daemon_threads = True

    def __init__(self):
        self.text = ""
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = page.text.encode()
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def check_all(browser, shop):
    shop.confirmed("order-of-attacks")
    shop.confirmed("parked-of-attacks")
    shop.confirmed("held-of-attacks")
    shop.ask("/orders/held-of-attacks/hold", {"holdId": "h-1", "reason": "of the attacks"})
    shop.stuck("pm_attacks", "stuck-of-attacks")
    shop.park("parked-of-attacks")
    operator = Person(browser, shop, "attacks")
    browser.see(1440, "light")
    operator.sign_in("operator")
    browser.go(f"{shop.console}/parked-events")
    browser.until("parked-of-attacks")
    check_foreign_origin(browser, shop)
    check_copies(browser, shop)
    shop.unspoil("parked-of-attacks")
    check_files(browser, shop)


def forms(browser, shop):
    found = {}
    for page in WITH_FORMS:
        browser.go(shop.console + page)
        for form in browser.value(FORMS):
            found[(form["action"], json.dumps(form["fields"][1:2]))] = form
    return [form for form in found.values() if form["action"] != "/sign-out"]


def check_foreign_origin(browser, shop):
    """A page of another site, and one of another port, sends every form with all that is in it, its token too."""
    found = forms(browser, shop)
    missing = [deed for deed in DEEDS if not any(form["action"].endswith(deed) for form in found)]
    if missing:
        fail(f"no form does {missing}: {[form['action'] for form in found]}")
    before = shop.all_that_was_done()
    page = Page()
    for host in (ELSEWHERE, "127.0.0.1"):
        for form in found:
            fields = "".join(f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                             for name, value in form["fields"])
            page.text = (f'<!doctype html><form method="post" action="{shop.console}{html.escape(form["action"])}">{fields}'
                         "<button>Win a prize</button></form>")
            browser.go(f"http://{host}:{page.server_port}/")
            browser.events = []
            browser.click("button")
            answers = [event["params"]["response"] for event in browser.events if event.get("method") == "Network.responseReceived"]
            status = [answer["status"] for answer in answers if answer["url"] == shop.console + form["action"]]
            if status != [403]:
                fail(f"a form of {host} to {form['action']} is answered {status}")
            browser.events = []
    page.shutdown()
    if shop.all_that_was_done() != before:
        fail("a form of another origin has done something")
    print(f"{len(found)} forms from another site and from another port, with their tokens, in the operator's browser: nothing is done")


def check_copies(browser, shop):
    """The same forms from the console's own origin: not without their token or cookie, nor with those of another session."""
    found = forms(browser, shop)
    before = shop.all_that_was_done()
    cookie = {it["name"]: it["value"] for it in browser.ask("Network.getCookies", urls=[shop.console])["cookies"]}["ordo_session"]
    own, other = {"ordo_session": cookie}, {"ordo_session": shop.token("support")}
    for form in found:
        fields = [(name, value) for name, value in form["fields"]]
        changed = [(name, value[::-1] if name == "token" else value) for name, value in fields]
        without = [(name, value) for name, value in fields if name != "token"]
        later = [(name, "DELETE" if name == "method" else value) for name, value in fields if dict(fields)["method"] != "DELETE"]
        for what, cookies, sent, status in [
            ("without its token", own, without, 403), ("with another token", own, changed, 403),
            ("by another session", other, fields, 403), ("without a session", {}, fields, 401),
            ("with a changed cookie", {"ordo_session": cookie[:-4] + "AAAA"}, fields, 401), ("by another method", own, later, 403),
        ]:
            if post(shop.console, form["action"], cookies, sent or without) != status:
                fail(f"a form {what} to {form['action']} is not answered {status}")
        if post(shop.console, form["action"] + "/x", own, fields) != 403:
            fail(f"the token of {form['action']} holds elsewhere")
    if shop.all_that_was_done() != before:
        fail("a forged form has done something")
    # None of it was refused for anything else.
    note = next(form for form in found if form["action"].endswith("/notes"))
    if post(shop.console, note["action"], own, note["fields"]) != 200 or shop.all_that_was_done() == before:
        fail("the form as it is does nothing either, so this shows nothing")
    print(f"{len(found)} forms without their token, with another one, a changed cookie or another's session: nothing is done")


def post(console, path, cookies, fields):
    headers = {"accept": "text/html", "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
               "content-type": "application/x-www-form-urlencoded", "origin": console}
    request = urllib.request.Request(console + path, urllib.parse.urlencode([tuple(field) for field in fields]).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def check_files(browser, shop):
    """No cell of a file is a formula, and what clients wrote is in it as they wrote it."""
    cookie = {"cookie": f"ordo_session={shop.tokens['operator']}"}
    request = urllib.request.Request(f"{shop.console}/orders/export?format=csv", headers=cookie)
    with urllib.request.urlopen(request, timeout=30) as answer:
        if answer.headers.get_content_type() != "text/csv" or "attachment" not in answer.headers.get("content-disposition", ""):
            fail(f"a browser may show a file as a page: {answer.headers}")
        cells = [cell for row in csv.reader(io.StringIO(answer.read().decode())) for cell in row]
    formulas = [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]
    if formulas:
        fail(f"cells that a spreadsheet calculates: {formulas[:3]}")
    if not any(HOSTILE in cell for cell in cells):
        fail(f"what a client wrote is not in the file: {cells[:60]}")
    print("a file has what clients wrote, and no formulas")
