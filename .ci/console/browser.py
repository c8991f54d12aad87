"""Chromium with one page, driven by its own protocol over a pipe: by the mouse, or by the keyboard alone."""

import base64
import json
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

# What a person has to see of the element that has the focus.
FOCUSED = """(() => { const it = document.activeElement, style = getComputedStyle(it), box = it.getBoundingClientRect();
    return { name: it.outerHTML.slice(0, 160), isBody: it === document.body, isWanted: it.matches(SELECTOR),
             isMarked: it.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
             isSeen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight } })()"""
# What texts of others must not become.
HURT = r"""document.title.startsWith("attacked") || document.querySelector("body script, main img") !== null
    || /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/.test(document.title + document.body.textContent)"""
# More places to stop at no page has.
MOST_STOPS = 600
# How long Chromium may take for an answer, or for a page, in seconds.
PATIENCE = 60
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "Escape": (27, "")}


def fail(why):
    print(f"console: {why}", file=sys.stderr)
    sys.exit(1)


class Browser:
    """Chromium with one page. `is_by_keyboard`: what is clicked and filled in is reached by Tab."""

    def __init__(self, chromium, scratch, *more):
        (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()

        def pipes():
            # Chromium reads commands at 3 and writes answers at 4.
            first, second = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(first, 3)
            os.dup2(second, 4)

        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
                 f"--user-data-dir={scratch / 'profile'}", *more, "about:blank"]
        self.process = subprocess.Popen([chromium, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=(scratch / "chromium").open("w"), start_new_session=True, preexec_fn=pipes,
                                        close_fds=False)
        os.close(theirs_in)
        os.close(theirs_out)
        self.out, self.read, self.rest = ours_out, ours_in, b""
        self.number, self.session, self.events = 0, None, []
        self.is_by_keyboard, self.view = False, ""
        target = next(it for it in self.ask("Target.getTargets")["targetInfos"] if it["type"] == "page")
        attached = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setFocusEmulationEnabled", enabled=True)

    def ask(self, method, **parameters):
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.next(until, method)
            if answer.get("id") == number:
                if "error" in answer:
                    fail(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def next(self, until, what):
        """What Chromium says next, as an answer or of itself."""
        while b"\0" not in self.rest:
            if not select.select([self.read], [], [], max(0, until - time.monotonic()))[0]:
                fail(f"{what}: Chromium does not answer")
            more = os.read(self.read, 1 << 20)
            if not more:
                fail("Chromium has ended")
            self.rest += more
        if time.monotonic() > until:
            fail(f"{what}: Chromium says other things alone")
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def see(self, width, scheme, runs_scripts=True):
        """A window of this width, in light or dark."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Emulation.setScriptExecutionDisabled", value=not runs_scripts)
        self.view = f"{width}-{scheme}"

    def until_loaded(self, what):
        until = time.monotonic() + PATIENCE
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.next(until, f"{what} leads to no page"))

    def drop_loads(self):
        self.events = [event for event in self.events if event.get("method") != "Page.loadEventFired"]

    def go(self, url):
        self.drop_loads()
        self.ask("Page.navigate", url=url)
        self.until_loaded(url)

    def reload(self):
        self.drop_loads()
        self.ask("Page.reload")
        self.until_loaded("a reload")

    def status(self):
        """The status of the page that is shown."""
        answers = [event["params"] for event in self.events if event.get("method") == "Network.responseReceived"]
        return [answer["response"]["status"] for answer in answers if answer["type"] == "Document"][-1]

    def until(self, text, seconds=60):
        """Loads the page again until it has a text, as a person does."""
        until = time.monotonic() + seconds
        while text not in self.text():
            if time.monotonic() > until:
                fail(f"{self.where()} does not come to {text!r}: {self.text()[:3000]}")
            time.sleep(0.2)
            self.reload()

    def value(self, expression):
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            fail(f"{expression[:80]}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def place(self, selector):
        """The middle of what a selector finds."""
        place = self.value(f"""(() => {{ const it = document.querySelector({json.dumps(selector)}); if (!it) return null;
            it.scrollIntoView({{ block: "center", inline: "center" }}); const box = it.getClientRects()[0]; if (!box) return null;
            return [box.x + box.width / 2, box.y + box.height / 2] }})()""")
        return place or fail(f"nothing on {self.where()} is {selector}: {self.text()[:2000]}")

    def press(self, key):
        code, text = KEYS[key]
        kind = "keyDown" if text else "rawKeyDown"
        names = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type=kind, text=text, **names)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **names)

    def tab_to(self, selector):
        """Presses Tab until an element has the focus. Wherever the focus comes by, it can be seen."""
        look = FOCUSED.replace("SELECTOR", json.dumps(selector))
        for stop in range(MOST_STOPS):
            now = self.value(look)
            if not now["isBody"] and stop and not (now["isMarked"] and now["isSeen"]):
                fail(f"{self.where()}: the focus can't be seen: {now}")
            if now["isWanted"] and stop:
                return
            self.press("Tab")
        fail(f"{self.where()}: no Tab leads to {selector}: {self.text()[:2000]}")

    def click(self, selector, leads_on=True):
        self.drop_loads()
        if self.is_by_keyboard:
            self.tab_to(selector)
            self.press(" " if selector.endswith("[type=checkbox]") else "Enter")
        else:
            x, y = self.place(selector)
            for kind in ("mousePressed", "mouseReleased"):
                self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        if leads_on:
            self.until_loaded(selector)

    def focus(self, selector):
        if self.is_by_keyboard:
            self.tab_to(selector)
        else:
            self.click(selector, leads_on=False)

    def write(self, selector, text):
        """Puts a text where another may be."""
        self.focus(selector)
        self.value("document.activeElement.select?.()")
        self.ask("Input.insertText", text=text)

    def choose(self, selector, option):
        """Chooses in a list by the first letters of an option."""
        if self.is_by_keyboard:
            self.tab_to(selector)
        else:
            # A list that is open belongs to the window system.
            self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        chosen = None
        for _ in range(3):
            for letter in option:
                self.ask("Input.dispatchKeyEvent", type="keyDown", key=letter, text=letter)
                self.ask("Input.dispatchKeyEvent", type="keyUp", key=letter)
                chosen = self.value("document.activeElement.selectedOptions?.[0]?.text")
                if chosen == option:
                    return
            # After a second without a letter Chromium looks for an option anew.
            time.sleep(1.2)
        fail(f"{self.where()}: {selector} has {chosen!r} chosen, not {option!r}")

    def text(self):
        return self.value("document.body.innerText")

    def where(self):
        return self.value("location.href")

    def has(self, *texts):
        for text in texts:
            if text not in self.text():
                fail(f"{self.where()} does not show {text!r}: {self.text()[:3000]}")

    def check_text(self):
        """That what clients wrote has become no markup, that all of it can be seen, and that it turns round nothing."""
        if self.value(HURT):
            fail(f"{self.where()}: what somebody wrote is no text: {self.value('document.documentElement.outerHTML')[:3000]}")

    def picture(self, name):
        """A picture of the whole page, if a folder for them was given."""
        folder = os.environ.get("CONSOLE_PICTURES")
        if folder:
            picture = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            name = re.sub("[^a-z0-9]+", "-", f"{name}-{self.view}")
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(picture))

    def check_events(self, origin):
        """That no request left the origin, and nothing broke the policy of the pages."""
        for event in self.events:
            method, what = event.get("method"), event.get("params", {})
            if method == "Network.requestWillBeSent":
                url = what["request"]["url"]
                if not url.startswith((f"{origin}/", "data:", "about:")):
                    fail(f"a request left the origin: {url}")
            if method == "Log.entryAdded" and what["entry"]["source"] in ("security", "violation", "javascript"):
                fail(f"the browser complains: {what['entry']['text']}")
            if method == "Runtime.exceptionThrown":
                fail(f"a script ran: {what}")
        self.events = []
