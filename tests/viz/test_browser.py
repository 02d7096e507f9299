"""The explorer in a real browser: what it shows at each step, by keyboard and mouse, and what it never does.

Needs Playwright (pip install "tinygrad-edu[browser]") and a Chromium, found in the environment variable
CHROMIUM or on the PATH; skipped, with the reason, where either is missing.
"""

import os
import shutil

import numpy as np
import pytest
from test_explorer import HOSTILE, leaf, two_layers

import tinygrad_edu as tg
from tinygrad_edu import viz
from tinygrad_edu.viz.explorer.arrays import block_means

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: set CHROMIUM or put one on the PATH"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page, and check when the test is over that it was silent and fetched nothing."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    said, fetched, wanted = [], [], set()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: fetched.append(request.url))

    def visit(loss, **options):
        path = viz.explore(loss, tmp_path / "page.html", **options)
        wanted.add(path.as_uri())
        page.goto(path.as_uri())
        return page

    yield visit
    context.close()
    assert said == []
    assert {url for url in fetched if not url.startswith("data:")} == wanted


def shown_gradient(page, name):
    """Read what a node shows of its gradient: how many contributions of how many, and the sum so far."""
    return page.evaluate(
        """name => {
            const { nodes, gradientAt, numbersOf } = window.explorer;
            const { array, got, of } = gradientAt(nodes.findIndex((node) => node.name === name));
            return { got, of, sum: array === null ? null : Array.from(numbersOf(array)) };
        }""",
        name,
    )


def test_stepping_to_the_end_shows_what_backward_computes(visit):
    loss, parameters = two_layers()
    page = visit(loss)
    total = page.evaluate("explorer.steps.length")
    for _ in range(total):
        page.keyboard.press("ArrowRight")
    assert page.locator("#count").inner_text() == f"{total} / {total}"
    assert page.locator("#forward").is_disabled()
    loss.backward()
    for parameter in parameters:
        expected = block_means(np.atleast_2d(parameter.grad.data), 4096).ravel()
        shown = shown_gradient(page, parameter.name)
        assert shown["got"] == shown["of"] == 1
        np.testing.assert_allclose(shown["sum"], expected, rtol=1e-5, atol=1e-9)
        norm = np.linalg.norm(parameter.grad.data)
        card = page.locator(".card", has_text=parameter.name).first
        assert f"{norm:.4g}" in card.text_content()


def test_each_step_shows_the_partial_sum_of_that_moment(visit):
    a = leaf(2.0, "a")
    loss = a * a * a + np.exp(a)  # contributions to a: exp(a), then a², then a and a times a
    page = visit(loss)
    seen = []
    while not page.locator("#forward").is_disabled():
        page.locator("#forward").click()
        shown = shown_gradient(page, "a")
        assert shown["of"] == 4
        if not seen or seen[-1] != shown["sum"]:
            seen.append(shown["sum"])
    loss.backward()
    e = np.exp(2.0)
    assert seen == [None, [e], [e + 4], [e + 8], [float(a.grad)]]
    assert "Σ of 4 paths" in page.locator(".card", has_text="parameter").text_content()
    for _ in range(2):
        page.locator("#back").click()
    assert shown_gradient(page, "a")["sum"] == [e + 4]
    assert "Σ so far: 2 of 4 paths" in page.locator(".card", has_text="parameter").text_content()
    assert "2 of 4 contributions" in page.locator("#saying").inner_text()


def test_the_order_is_the_order_of_execution(visit):
    a, b = leaf(1.0, "a"), leaf(2.0, "b")
    c = a * b
    d = np.sin(c)
    page = visit(d + c)
    steps = []
    while not page.locator("#forward").is_disabled():
        page.keyboard.press("ArrowRight")
        steps.append(page.locator("#saying").inner_text())
    assert [step.partition(":")[2].strip() for step in steps[:3]] == [
        "c = multiply(a, b)",
        "d = sin(c)",
        "add(d, c)",
    ]
    assert "starts" in steps[3]
    senders = [step.partition(":")[2].partition(" its gradient")[0].strip() for step in steps[4:]]
    assert senders == ["add sends d", "add sends c", "d sends c", "c sends a", "c sends b"]
    page.keyboard.press("Home")
    assert page.locator("#count").inner_text() == "0 / 9"
    assert page.locator(".card.waiting").count() == 3


def test_the_panel_shows_numbers_rule_images_and_line(visit):
    page = visit(two_layers()[0])
    page.keyboard.press("End")
    page.locator(".card", has_text="l1.W").first.click()
    panel = page.locator("#panel")
    assert panel.locator("h2").inner_text() == "l1.W parameter"
    assert panel.locator("figure canvas").count() == 20
    assert panel.locator(".bars").count() == 2
    assert "28 × 28" in panel.inner_text()
    assert "mean of a block of the 784 × 10 numbers" in panel.inner_text()
    page.locator(".card", has_text="l2.b").first.click()
    panel.locator("summary").first.click()
    assert panel.locator("td").first.inner_text() == "0"
    panel.get_by_role("button", name="z").click()
    assert "b̄ = Σ₀ ḡ" in panel.inner_text()
    largest = np.abs(shown_gradient(page, "l2.b")["sum"]).max()
    assert "(32 terms) = " in panel.inner_text()
    assert f"{largest:.4g}" in panel.inner_text()
    line = page.locator("#code li.now")
    assert line.count() == 1
    assert "z = h @ w2 + b2" in line.inner_text()


def test_layers_close_and_open(visit):
    page = visit(two_layers(batch=4)[0])
    cards = page.locator(".card").count()
    page.locator(".layer text", has_text="l1").click()
    assert page.locator(".card").count() == cards - 4
    closed = page.locator(".card.folded")
    assert "0 of 3 calls computed" in closed.text_content()
    page.keyboard.press("ArrowRight")
    assert "1 of 3 calls computed" in closed.text_content()
    assert "active" in closed.get_attribute("class")
    closed.click()
    assert page.locator(".card").count() == cards
    page.locator("#close").click()
    assert page.locator(".card.folded").count() == 2
    page.locator("#open").click()
    assert page.locator(".card.folded").count() == 0


def test_search_colours_palette_and_theme(visit):
    page = visit(two_layers(batch=4)[0])
    page.keyboard.press("End")
    page.keyboard.press("/")
    page.keyboard.type("l2.")
    assert page.locator(".card.hit").count() == 4  # two parameters, and the calls that take them
    assert page.locator("#found").inner_text() == "4 matches"
    page.keyboard.press("Enter")
    assert "l2." in page.locator("#panel").inner_text()
    page.keyboard.press("Escape")
    assert page.locator(".card.miss").count() == 0
    page.select_option("#colour", "gradient")
    fills = page.eval_on_selector_all(".card .head", "heads => heads.map((head) => head.style.fill)")
    assert len({fill for fill in fills if fill}) > 3
    picture = page.locator(".card image").first.get_attribute("href")
    page.select_option("#palette", "greys")
    assert page.locator(".card image").first.get_attribute("href") != picture
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_everything_can_be_done_from_the_keyboard(visit):
    page = visit(two_layers(batch=4)[0])
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert first != second
    assert "gradient" in second
    chosen = page.locator("#panel h2").inner_text()
    page.keyboard.press("ArrowLeft")  # a node that the reader chose stays
    assert page.locator("#panel h2").inner_text() == chosen
    page.keyboard.press("o")
    assert page.locator(".card.folded").count() == 1
    page.keyboard.press("o")
    page.keyboard.press("Escape")
    page.keyboard.press("PageUp")
    assert page.locator("#step").input_value() == str(page.evaluate("explorer.steps.length") - 11)
    assert page.locator("[tabindex='0'].card").count() == 1


def test_a_training_moves_on_a_frozen_layout(visit):
    w = leaf(np.full(3, 2.0), "w")
    snapshots = viz.Snapshots(lambda: np.sum(w * w))
    gradients = []
    for step in range(4):
        snapshots.take(label=f"step {step}")
        gradients.append(list(2 * w.data))
        w.assign(w.data * 0.5)
    page = visit(snapshots)
    places = "Array.from(document.querySelectorAll('.card'), (card) => card.getAttribute('transform')).join()"
    frozen = page.evaluate(places)
    shown = [shown_gradient(page, "w")["sum"]]
    for _ in range(3):
        page.keyboard.press("]")
        shown.append(shown_gradient(page, "w")["sum"])
        assert page.evaluate(places) == frozen
    assert shown == gradients
    assert "4 of 4: step 3" in page.locator("#when").inner_text()
    page.locator("#moment").fill("1")
    assert shown_gradient(page, "w")["sum"] == gradients[1]
    assert "step 1" in page.locator("#when").inner_text()


def test_hostile_names_are_only_shown(visit):
    total = leaf(0.0, "start")
    for name in HOSTILE:
        with tg.scope(name):
            total = total + leaf(1.0, name)
    total.name = "".join(HOSTILE)
    page = visit(total, title=HOSTILE[0])
    page.locator("#open").click()
    page.keyboard.press("End")
    assert page.locator("script").count() == 2
    assert sum(page.locator(tag).count() for tag in ("img", "iframe", "object", "a")) == 0
    assert page.locator("#title").inner_text() == HOSTILE[0]
    headings = []
    for i in range(page.evaluate("explorer.nodes.length")):
        page.evaluate("i => { explorer.state.chosen = null; explorer.choose(i, true) }", i)
        headings.append(page.locator("#panel h2").text_content())
    for name in [*HOSTILE, total.name]:
        assert any(heading.startswith(viz.words.visible(name)) for heading in headings)


def test_the_notebook_frame_runs_the_explorer_and_nothing_else(browser):
    loss, _ = two_layers(batch=4)
    loss.backward()
    page = browser.new_page()
    page.set_content("<!doctype html>" + viz.mimebundle(loss)["text/html"])
    frame = page.frames[1]
    frame.wait_for_function("window.explorer !== undefined")
    assert frame.locator(".card").count() > 5
    assert frame.evaluate("window.origin") == "null"
    assert not page.locator("figure").is_visible()
    page.evaluate("document.querySelectorAll('iframe, style').forEach((part) => part.remove())")
    assert page.locator("figure").is_visible()
    page.close()


def test_two_thousand_nodes_open_quickly(visit):
    h = tg.Tensor(np.ones((4, 4)), name="x")
    for i in range(400):
        with tg.scope(f"dense_{i}"):
            h = np.tanh(h @ leaf(np.eye(4), f"W{i}") + leaf(np.zeros(4), f"b{i}"))
    loss = np.mean(h)
    for open_all in (False, True):
        page = visit(loss, open_all=open_all)
        assert page.evaluate("explorer.nodes.length") == 2002
        assert page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 1500
    assert page.locator(".card").count() == 2002
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert "b0" in page.locator("#saying").inner_text() or "W0" in page.locator("#saying").inner_text()
