"""What somebody has opened, typed or ticked stays while the page around it follows: the console's scripts, on a page of their own."""

import json
from pathlib import Path

from browser import fail

ASSETS = Path(__file__).resolve().parents[2] / "console" / "assets"
SCRIPTS = ("htmx/htmx.min.js", "htmx/idiomorph-ext.min.js", "console.js")


def part(version, forms, rows, events):
    """What a page that follows shows: each time it asks it gets all of it anew."""
    actions = "".join(f"""<details class="action" id="{form}"><summary>{form}</summary><form><input type="hidden" name="key" value="{version}">
        <textarea name="{form}"></textarea></form></details>""" for form in forms)
    section = f"""<section aria-labelledby="actions"><h2 id="actions">Actions</h2>{actions}</section>""" if forms else ""
    ticks = "".join(f"""<tr><td><input type="checkbox" id="pick-{row}" value="{row}"></td></tr>""" for row in rows)
    timeline = "".join(f"<li>{event}<details><summary>JSON</summary></details></li>" for event in events)
    return f"""<div id="live"><p>{version}</p><input id="as-of" value="{version}">{section}<section><h2 id="about">About</h2>
        <progress max="9" value="{version}"></progress></section><table><tbody>{ticks}</tbody></table><ol>{timeline}</ol></div>"""


STATE = """({ version: document.querySelector("p").innerText, asOf: document.querySelector("#as-of").value,
    actions: [...document.querySelectorAll(".action")].map(it => it.id + (it.open ? " open" : "")),
    typed: document.querySelector("#notes textarea").value, key: document.querySelector("#notes [name=key]").value,
    focus: document.activeElement.name, ticked: [...document.querySelectorAll(":checked")].map(it => it.value),
    progress: document.querySelector("progress").value, events: [...document.querySelectorAll("li details")].map(it => it.open) })"""


def check(browser, scratch):
    page = scratch / "live.html"
    scripts = "".join(f'<script src="{(ASSETS / script).as_uri()}"></script>' for script in SCRIPTS)
    page.write_text(f"<!doctype html><html><body>{part(1, ['notes', 'hold'], 'ab', [1])}{scripts}</body></html>")
    browser.see(1440, "light")
    browser.go(page.as_uri())
    browser.click("#notes summary", leads_on=False)
    browser.click("#pick-b", leads_on=False)
    browser.click("li summary", leads_on=False)
    browser.write("#as-of", "7")
    browser.write("#notes textarea", "typed")
    kept = {"asOf": "7", "typed": "typed", "key": "1", "focus": "notes", "ticked": ["b"], "events": [True, False]}
    for version, forms, actions in [(2, ["release", "notes"], ["release", "notes open"]), (3, [], ["notes open"])]:
        new = json.dumps(part(version, forms, "0bc", [1, 2]))
        browser.value(f"""void Idiomorph.morph(document.querySelector("#live"), {new}, {{ morphStyle: "outerHTML" }})""")
        shown, expected = browser.value(STATE), kept | {"version": str(version), "actions": actions, "progress": version}
        if shown != expected:
            fail(f"a page that follows shows {shown}, and not {expected}")
    # It is no page of the console.
    browser.events = []
    print("what somebody has opened, typed or ticked stays while the page around it follows")
