"""Looks at the console of a server in a headless browser: python console.py URL COLLECTION QUESTION.

The collection has a model and ten points or more. `--key` is typed into the page, `--shots DIR` keeps what was seen.
"""

import argparse
import os

from browser import Browser

SIZES = [(1280, 800), (390, 844)]

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("collection")
parser.add_argument("question")
parser.add_argument("--key")
parser.add_argument("--shots")
args = parser.parse_args()


def click(browser, words):
    found = f"[...document.querySelectorAll('main button')].find((one) => one.textContent.trim() === {words!r} && one.checkVisibility())"
    browser.until(found)
    browser.run(f"{found}.click()")


def write(browser, where, text):
    """Types a text as a person does, so that the page hears of it."""
    browser.run(f"(() => {{ const input = document.querySelector({where!r}); input.focus(); input.select?.() }})()")
    browser.call("Input.insertText", text=text)


def fits(browser, what):
    wide, window = browser.run("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, f"{what} is {wide} pixels wide in a window of {window}"


def seen(browser, name, width):
    fits(browser, f"{name} at {width}")
    if args.shots:
        os.makedirs(args.shots, exist_ok=True)
        browser.picture(f"{args.shots}/{name}-{width}.png")


def give_key(browser):
    browser.until("document.querySelector('dialog[open]')")
    write(browser, "#key-text", args.key)
    browser.run("document.querySelector('dialog button[value=use]').click()")
    browser.until("document.querySelector('.collection')")
    kept = browser.run("[sessionStorage.length, localStorage.length, document.cookie]")
    assert kept == [1, 0, ""], f"the key is kept elsewhere, too: {kept}"
    # The calls before the key were refused, which the browser calls errors.
    refused = [line for line in browser.wrong if "401" in line]
    browser.wrong = [line for line in browser.wrong if line not in refused]
    assert refused, "nothing was refused without the key"


def look(browser, width, height, dark):
    browser.size(width, height, dark)
    # Each size begins with a page of its own.
    browser.open("about:blank")
    browser.open(args.url)
    if args.key and browser.until("document.querySelector('dialog[open], .collection')") and browser.run("!!document.querySelector('dialog[open]')"):
        give_key(browser)
    browser.until("document.querySelector('.collection') && document.querySelector('.memory')")
    seen(browser, "collections", width)

    browser.run(f"location.hash = '#/{args.collection}/search'")
    browser.until("document.querySelector('.card')")
    write(browser, "input[type=search]", args.question)
    click(browser, "search")
    browser.until("document.querySelector('.score') && document.querySelector('.stages')")
    found = browser.run("document.querySelectorAll('.card').length")
    assert found == 10, f"{found} results"
    assert browser.run("document.querySelector('.plan').textContent.includes('codes')")
    first = browser.run("document.querySelector('.card .id').textContent")
    seen(browser, "search", width)

    click(browser, "+ condition")
    write(browser, ".condition input", "absent")
    click(browser, "search")
    browser.until("document.querySelector('[role=status]').textContent.startsWith('0 results')")
    seen(browser, "filter", width)
    click(browser, "×")

    click(browser, "search")
    browser.until("document.querySelector('.score')")
    click(browser, "more like this")
    browser.until(f"document.querySelector('input[type=search]').value === {first!r} && document.querySelector('.score') && document.querySelector('.card .id').textContent !== {first!r}")

    browser.run(f"location.hash = '#/{args.collection}/curve'")
    click(browser, "measure")
    browser.until("document.querySelector('.curve circle')")
    assert browser.run("document.querySelectorAll('.curve circle').length") == 8
    seen(browser, "recall", width)

    browser.run(f"location.hash = '#/{args.collection}/memory'")
    browser.until("document.querySelector('.memory .part')")
    seen(browser, "memory", width)
    return first


with Browser() as browser:
    for width, height in SIZES:
        first = look(browser, width, height, dark=False)
        look(browser, width, height, dark=True) if not args.shots else None
    assert not browser.wrong, browser.wrong
print(f"the console shows {first} first for {args.question!r}, at {' and '.join(str(width) for width, _ in SIZES)} pixels")
