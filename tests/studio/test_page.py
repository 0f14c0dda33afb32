"""The studio's page, clicked through in Debian's chromium as a person would: by mouse, by keyboard, on a phone."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from clips import frames_of, pan, write_film
from impasto.images import reading
from impasto.settings.settings import Settings

sync = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS NOT INSTALLED: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore"),
]

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SHOTS = Path(__file__).parents[2] / "shots"
"""Screenshots that a person is to look at; git ignores them."""

SETTINGS = "epochs = 1\nsteps-per-epoch = 3\nstyle-layers = ['relu1_1', 'relu2_1']\ncontent-layers = ['relu2_1']\n"
"""Of every job: seconds on any machine."""

PATIENCE, LONG = 20_000, 180_000
"""Milliseconds for the page and for a picture; the machine may be busy."""


WITH_ANOTHER_KNOB = """
import sys
from impasto.cli import main
from impasto.settings.knob import Group, Roles, knob
from impasto.settings.settings import Settings
from impasto.studio import schema
from impasto.studio.routes import settings

class More(Settings):
    glitter: float = knob(0.25, Roles(Group.PICTURE, usual=True), "How much it glitters.", ge=0, le=1)

settings.settings_form = lambda: schema.settings_form(More)
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[str]:
    """The address of a studio of its own, with pictures that take seconds."""
    (folder / "quick.toml").write_text(SETTINGS, encoding="utf-8")
    options = ["--port", "0", "--data", str(folder / "data"), "--config", str(folder / "quick.toml")]
    with subprocess.Popen([sys.executable, *command, "studio", *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("studio"), "-m", "impasto") as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator["sync.Browser"]:
    with sync.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


class Page:
    """A page with nothing in it that fails in silence: errors, foreign requests and faults of access are kept."""

    def __init__(self, browser: "sync.Browser", address: str, size: dict[str, int], scheme: str = "light") -> None:
        touch = size == PHONE
        self.context = browser.new_context(
            viewport=size, color_scheme=scheme, reduced_motion="reduce", has_touch=touch, is_mobile=touch,
            accept_downloads=True,
        )  # fmt: skip
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.faults: list[str] = []
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda asked: self._check(asked.url, address))
        self.page.goto(address)

    def _told(self, message: "sync.ConsoleMessage") -> None:
        if message.type == "error" and "status of 422" not in message.text:  # an answer that the page shows
            self.faults.append(message.text)

    def _check(self, url: str, address: str) -> None:
        if not url.startswith((address, "blob:", "data:")):
            self.faults.append(f"a request to {url}")

    def of(self, test: str) -> "sync.Locator":
        """What tests know by this name; the first that is there."""
        return self.page.locator(f'[data-test="{test}"]').first

    def all(self, test: str) -> "sync.Locator":
        return self.page.locator(f'[data-test="{test}"]')

    def click(self, *tests: str) -> None:
        for test in tests:
            self.of(test).click(timeout=LONG if test == "paint" else PATIENCE)  # it waits for the upload

    def paint(self, photo: Path, style: str, size: int = 64) -> None:
        """Choose a photo and a style, and press the button."""
        self.of("photo-input").set_input_files(photo)
        self.click(f"style-tile-{style}")
        self.of("number-size").fill(str(size))
        self.of("number-size").press("Enter")
        self.click("paint")

    def vary_at_length(self, photo: Path) -> None:
        """Begin two pictures, of two strengths, that take longer than a test."""
        self.of("photo-input").set_input_files(photo)
        self.click("style-tile-dots", "advanced")
        for knob, value in (("epochs", "400"), ("size", "96")):
            self.of(f"number-{knob}").fill(value)
            self.of(f"number-{knob}").press("Enter")
        self.click("vary")
        self.of("vary-knob-0").select_option("strength")
        self.of("vary-values-0").fill("0.2, 0.9")
        self.click("vary-start")

    def result(self) -> "sync.Locator":
        """The picture, when it's there."""
        self.of("compare").wait_for(timeout=LONG)
        return self.of("download")

    def shot(self, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def check_access(self) -> None:
        """No serious fault by axe-core, which the package axe-playwright-python carries."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright")
        found = axe.Axe().run(self.page).response["violations"]
        serious = [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []

    def check_width(self) -> None:
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0

    def leave_nothing(self) -> None:
        """Cancel what this test left in the queue: the next one has the server for itself."""
        self.page.evaluate("() => fetch('/api/v1/queue/cancel', { method: 'POST' })")
        for line in ("queue-item", "queue-group"):
            sync.expect(self.all(line)).to_have_count(0, timeout=LONG)

    def close(self) -> None:
        self.context.close()
        assert self.faults == []


@pytest.fixture
def opened(browser, address) -> Iterator:
    """A way to open the page; each is closed, and whatever went wrong in it told."""
    pages: list[Page] = []

    def open_page(size: dict[str, int] = DESKTOP, scheme: str = "light") -> Page:
        pages.append(Page(browser, address, size, scheme))
        return pages[-1]

    yield open_page
    for page in pages:
        page.leave_nothing()
        page.close()


@pytest.fixture
def photo(tmp_path) -> Path:
    """A photo that is another one for each test."""
    pixels = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)
    pixels[::7, ::5] = np.random.default_rng(abs(hash(tmp_path.name)) % 2**32).integers(0, 255, 3)
    path = tmp_path / "holiday photo.png"
    PIL.Image.fromarray(pixels).save(path)
    return path


def download(page: Page, test: str, folder: Path) -> Path:
    """What a link of the page saves."""
    with page.page.expect_download() as waiting:
        page.click(test)
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_from_a_photo_to_a_picture_that_brings_its_settings_back(size, scheme, opened, photo, tmp_path):
    page, name = opened(size, scheme), f"{'desktop' if size == DESKTOP else 'phone'}-{scheme}"
    page.of("style-tile-mosaic").wait_for()
    page.shot(f"{name}-1-empty")
    page.check_access()
    page.paint(photo, "mosaic")
    page.result()
    page.shot(f"{name}-2-painted")
    page.check_access()
    page.check_width()
    page.click("download")
    saved = download(page, "download-png", tmp_path)
    settings = json.loads(reading.read_note(saved) or "")["impasto"]["settings"]
    assert settings["size"] == 64
    page.page.keyboard.press("Escape")
    page.page.reload()
    page.of("history-item").wait_for(state="attached")
    page.of("photo-input").set_input_files(saved)
    page.of("restore-dialog").wait_for()
    page.check_access()
    page.click("restore")
    sync.expect(page.of("number-size")).to_have_value("64", timeout=PATIENCE)


def test_a_painted_picture_that_is_not_restored_leaves_the_photo_as_it_was(opened, photo, tmp_path):
    page = opened()
    page.paint(photo, "mosaic", 48)
    page.result()
    page.click("download")
    saved = download(page, "download-png", tmp_path)
    for test in ("dialog-close", None):
        page.of("photo-input").set_input_files(saved)
        page.of("restore-dialog").wait_for()
        page.click(test) if test else page.page.keyboard.press("Escape")
        page.of("restore-dialog").wait_for(state="detached")
        sync.expect(page.page.locator(".photo-card")).to_contain_text(photo.name, timeout=PATIENCE)
    page.of("photo-input").set_input_files(saved)
    page.click("restore-photo")
    sync.expect(page.page.locator(".photo-card")).to_contain_text(saved.name, timeout=PATIENCE)


def test_a_style_is_chosen_by_its_name_too(opened):
    page = opened()
    page.page.locator(".tile", has=page.page.locator('[data-test="style-tile-flow"]')).locator(".tile-name").click()
    sync.expect(page.of("style-tile-flow")).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)


def test_a_phone_offers_no_dropping(opened):
    for size, is_said in ((DESKTOP, True), (PHONE, False)):
        page = opened(size)
        page.of("style-tile-flow").wait_for()
        assert page.page.get_by_text("or drop or paste it").is_visible() == is_said
        assert page.page.get_by_text("several make a batch").is_visible()


def test_a_style_may_be_dropped_and_several_share_the_picture(opened, photo, tmp_path):
    page = opened()
    brush = tmp_path / "my brush.png"
    PIL.Image.fromarray(np.random.default_rng(3).integers(0, 255, (50, 70, 3), dtype=np.uint8)).save(brush)
    page.of("photo-input").set_input_files(photo)
    page.of("style-input").set_input_files(brush)
    page.of("style-tile-my brush.png").wait_for()
    page.of("mix").check()
    page.click("style-tile-dots")
    page.of("share-dots").wait_for()
    page.of("number-size").fill("64")
    page.of("number-size").press("Enter")
    page.click("paint")
    page.result()
    page.click("facts")
    sync.expect(page.page.locator("main")).to_contain_text("my brush", timeout=PATIENCE)
    page.shot("desktop-3-two-styles")


def test_a_mask_is_painted_erased_undone_and_used(opened, photo, tmp_path):
    page = opened()
    page.of("photo-input").set_input_files(photo)
    page.click("style-tile-dots", "mask-open")
    board = page.of("mask-board")
    board.wait_for()
    box = board.bounding_box()
    middle, across = box["y"] + box["height"] / 2, [box["x"] + box["width"] * share for share in (0.3, 0.7)]

    def stroke() -> None:
        page.page.mouse.move(across[0], middle)
        page.page.mouse.down()
        page.page.mouse.move(across[1], middle, steps=8)
        page.page.mouse.up()

    stroke()
    page.shot("desktop-4-mask")
    page.check_access()
    drawn = white(download(page, "mask-export", tmp_path))
    assert 0.005 < drawn < 0.6
    page.click("eraser")
    stroke()
    assert white(download(page, "mask-export", tmp_path)) < drawn / 2
    page.click("undo")
    assert white(download(page, "mask-export", tmp_path)) == pytest.approx(drawn, abs=1e-3)
    page.click("redo", "undo", "invert")
    assert white(download(page, "mask-export", tmp_path)) == pytest.approx(1 - drawn, abs=0.01)
    page.click("clear")
    assert white(download(page, "mask-export", tmp_path)) in (0, 1)
    page.click("undo", "undo", "mask-done")
    page.of("mask-done").wait_for(state="detached")
    page.of("number-size").fill("64")
    page.of("number-size").press("Enter")
    page.click("paint")
    page.result()
    page.click("download")
    saved = download(page, "download-png", tmp_path)
    named = json.loads(reading.read_note(saved) or "")["impasto"]["settings"]
    assert named["mask"] or named["strength_map"] != "everywhere"


def test_paint_uses_what_is_on_the_open_mask_board_and_the_masks_button_tells_of_it(opened, photo, tmp_path):
    page = opened()
    page.paint(photo, "dots")
    page.result()
    page.click("mask-open", "swap")  # everything is painted
    sync.expect(page.of("undo")).to_be_enabled(timeout=PATIENCE)
    page.of("undo").get_by_text("Undo").wait_for()
    page.shot("desktop-4-mask-tools")
    page.click("undo")
    box = page.of("mask-board").bounding_box()
    page.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.click("paint")
    sync.expect(page.of("mask-open")).to_have_attribute("aria-label", "Masks, 1 in use", timeout=PATIENCE)
    page.of("mask-board").wait_for(state="detached")
    page.shot("desktop-4-mask-in-use")
    page.check_access()
    page.result()
    page.click("download")
    named = json.loads(reading.read_note(download(page, "download-png", tmp_path)) or "")["impasto"]["settings"]
    assert named["mask"]


def test_a_mask_that_was_begun_is_in_use_after_a_look_at_another_picture(opened, photo):
    page = opened()
    page.paint(photo, "dots", 48)
    page.result()
    page.click("mask-open", "swap", "history-item")
    page.of("mask-board").wait_for(state="detached")
    sync.expect(page.of("mask-open")).to_have_attribute("aria-label", "Masks, 1 in use", timeout=PATIENCE)
    page.click("mask-open", "clear", "mask-done")
    sync.expect(page.of("mask-open")).not_to_have_attribute("aria-label", "Masks, 1 in use", timeout=PATIENCE)


def test_a_pens_first_dab_is_as_thin_as_its_line(opened, photo, tmp_path):
    page = opened()
    page.of("photo-input").set_input_files(photo)
    page.click("style-tile-dots", "mask-open")
    page.of("mask-board").wait_for()
    box = page.of("mask-board").bounding_box()
    devices = page.context.new_cdp_session(page.page)

    def dabbed(pen: str, force: float) -> float:
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left", "clickCount": 1}
        for kind, down in (("mousePressed", 1), ("mouseReleased", 0)):
            what = {"type": kind, "buttons": down, "pointerType": pen, "force": force * down}
            devices.send("Input.dispatchMouseEvent", at | what)
        sync.expect(page.of("undo")).to_be_enabled(timeout=PATIENCE)
        drawn = white(download(page, "mask-export", tmp_path))
        page.click("undo")
        return drawn

    full = dabbed("mouse", 0.5)
    assert dabbed("pen", 1) == pytest.approx(full, rel=0.01)
    assert 0 < dabbed("pen", 0.1) < full / 3


def white(file: Path) -> float:
    """The part of a mask that is white."""
    with PIL.Image.open(file) as image:
        return float(np.asarray(image.convert("L")).mean() / 255)


def test_what_contradicts_is_said_beside_its_control_before_anything_starts(opened, photo):
    page = opened()
    page.of("photo-input").set_input_files(photo)
    page.click("style-tile-dots", "advanced")
    page.of("knob-search").fill("objective")
    page.of("choice-objective-gatys").check(force=True)
    page.of("number-strength").fill("0.7")
    page.of("number-strength").press("Enter")
    wrong = page.page.locator(".control.wrong")
    wrong.first.wait_for()
    page.shot("desktop-5-contradiction")
    page.check_access()
    sync.expect(wrong.first).to_contain_text("objective", timeout=PATIENCE)
    page.of("control-strength").get_by_role("button", name="What Strength does").click()
    sync.expect(page.of("control-strength").locator("code").first).to_be_visible(timeout=PATIENCE)
    assert "`" not in page.page.locator("body").inner_text()


def test_a_first_picture_is_as_large_as_this_machine_paints_in_under_a_minute_unless_a_size_was_set(opened, photo):
    page = opened()
    page.page.route("**/api/v1/plan", slow_machine)
    page.of("photo-input").set_input_files(photo)
    page.click("style-tile-dots")
    page.of("fitted").wait_for()
    sync.expect(page.of("number-size")).to_have_value("256", timeout=PATIENCE)
    page.shot("desktop-9-fitted")
    page.check_access()
    page.click("unfit")
    sync.expect(page.of("number-size")).to_have_value("512", timeout=PATIENCE)
    sync.expect(page.of("plan")).to_contain_text("512", timeout=PATIENCE)
    assert page.all("fitted").count() == 0


def slow_machine(route: "sync.Route") -> None:
    """The server's plan, with the seconds of a machine that paints 512 px in 150 s."""
    answer = route.fetch()
    plan = answer.json()
    route.fulfill(response=answer, json=plan | {"seconds": 150 * (plan["width"] / 512) ** 2})


def test_two_values_of_a_setting_make_a_sheet(opened, photo):
    page = opened()
    page.of("photo-input").set_input_files(photo)
    page.click("style-tile-dots")
    page.of("number-size").fill("48")
    page.of("number-size").press("Enter")
    page.click("vary")
    page.of("vary-knob-0").select_option("strength")
    page.of("vary-values-0").fill("0.2, 0.9")
    page.check_access()
    page.click("vary-start")
    page.page.locator('[data-test="group-item"]').nth(1).wait_for()
    sync.expect(page.page.locator('[data-test="group-item"] img')).to_have_count(2, timeout=LONG)
    page.shot("desktop-6-sheet")


def test_what_was_cancelled_of_a_batch_does_not_count_as_done_and_is_painted_again(opened, photo):
    page = opened()
    page.vary_at_length(photo)
    page.page.locator('[data-test="group-item"]').nth(1).wait_for()
    page.click("queue-group-open")
    page.shot("desktop-6-sheet-queue")
    page.page.locator('[data-test="queue-item"]').nth(1).locator('[data-test="queue-cancel"]').click()
    page.of("group-again").wait_for(timeout=LONG)
    sync.expect(page.page.locator("main")).to_contain_text("0 of 2 done, 1 cancelled", timeout=PATIENCE)
    sync.expect(page.page.locator("figure.cancelled")).to_contain_text("cancelled", timeout=PATIENCE)
    page.shot("desktop-6-sheet-cancelled")
    page.check_access()
    page.page.locator("figure.cancelled").locator('[data-test="group-item"]').click()
    sync.expect(page.of("no-picture")).to_contain_text("Cancelled", timeout=PATIENCE)
    page.shot("desktop-7-cancelled")
    page.check_access()
    page.click("again")
    page.of("cancel").wait_for()
    page.click("cancel")
    page.of("no-picture").wait_for(timeout=LONG)
    page.page.locator('[data-test="queue-cancel"]').click()
    sync.expect(page.all("queue-item")).to_have_count(0, timeout=LONG)


def test_a_line_of_the_queue_stays_where_it_is_as_the_one_before_it_begins_and_the_pointer_comes(opened, photo):
    page = opened()
    page.vary_at_length(photo)
    page.click("queue-group-open")
    first, second = page.all("queue-item").nth(0), page.all("queue-item").nth(1)
    second.wait_for()
    sync.expect(first.locator(".progress")).to_be_attached(timeout=LONG)
    waiting = second.bounding_box()
    assert waiting["height"] == first.bounding_box()["height"]
    second.hover()
    assert second.bounding_box() == waiting
    page.click("group-cancel")
    sync.expect(page.all("queue-item")).to_have_count(0, timeout=LONG)


def folder_of_photos(folder: Path, count: int) -> Path:
    """A folder with photos and a note, each photo another one."""
    folder.mkdir()
    (folder / "notes.txt").write_text("no picture")
    for seed in range(count):
        pixels = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = PIL.Image.fromarray(pixels).resize((80, 60), PIL.Image.Resampling.BICUBIC)
        image.save(folder / f"IMG_{seed + 1}.png")
    return folder


def choose_folder(page: Page, folder: Path, *styles: str, epochs: int = 1) -> None:
    """Choose a folder of photos, a picture in each of the styles, and press Paint."""
    page.of("photo-folder").set_input_files(folder)
    page.of("mix").check()
    page.click(*(f"style-tile-{style}" for style in styles))
    page.of("apart").check(force=True)
    page.click("advanced")
    for knob, value in (("size", 48), ("epochs", epochs)):
        page.of(f"number-{knob}").fill(str(value))
        page.of(f"number-{knob}").press("Enter")
    page.click("advanced")
    page.of("knob-search").wait_for(state="detached")
    page.page.get_by_role("button", name=f"Paint {2 * len([*folder.glob('*.png')])} pictures").click(timeout=LONG)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_folder_in_two_styles_is_one_line_of_queue_and_history_that_opens_and_a_folder_again(
    scheme, opened, tmp_path
):
    page, title = opened(scheme=scheme), f"Our trip {scheme}"
    choose_folder(page, folder_of_photos(tmp_path / title, 3), "dots", "mosaic", epochs=40)
    line = page.of("queue-group")
    line.wait_for()
    sync.expect(page.all("queue-group")).to_have_count(1, timeout=PATIENCE)
    assert page.all("queue-item").count() == 0
    sync.expect(line).to_contain_text(title, timeout=PATIENCE)
    sync.expect(line).to_contain_text("3 photos × 2 styles", timeout=PATIENCE)
    sync.expect(page.of("queue-group-state")).to_contain_text("1 of 6 done, about", timeout=LONG)
    page.shot(f"desktop-{scheme}-10-group")
    page.click("queue-group-open")
    sync.expect(page.all("queue-item").first).to_be_visible(timeout=PATIENCE)
    sync.expect(page.of("queue-group-open")).to_have_attribute("aria-expanded", "true", timeout=PATIENCE)
    page.shot(f"desktop-{scheme}-10-group-open")
    line.locator('[data-test="group-pause"]').click()
    line.locator('[data-test="group-resume"]').wait_for(timeout=LONG)
    page.shot(f"desktop-{scheme}-10-group-paused")
    page.check_access()
    line.locator('[data-test="group-resume"]').click()
    page.of("queue-group").wait_for(state="detached", timeout=LONG)
    past = page.page.locator('[data-test="history-group"]', has_text=title)
    sync.expect(past).to_contain_text("6 of 6 done", timeout=PATIENCE)
    past.locator('[data-test="history-group-main"]').click()
    sync.expect(page.all("group-item")).to_have_count(6, timeout=PATIENCE)
    names = [f"IMG_{photo} × {style}: done" for photo in (1, 2, 3) for style in ("dots", "mosaic")]
    assert [item.get_attribute("aria-label") for item in page.all("group-item").all()] == names
    page.shot(f"desktop-{scheme}-11-group-done")
    saved = download(page, "group-folder", tmp_path)
    with zipfile.ZipFile(saved) as archive:
        packed = {Path(name).name for name in archive.namelist()}
    assert {"manifest.jsonl", "summary.json", "contact_sheet.png", "IMG_1_dots.png", "IMG_3_mosaic.png"} < packed
    assert len(packed) == 9


def test_a_group_that_is_deleted_comes_back_and_shows_on_a_phone(opened, tmp_path):
    page = opened()
    choose_folder(page, folder_of_photos(tmp_path / "Garden", 2), "flow", "dots")
    past = page.page.locator('[data-test="history-group"]', has_text="Garden")
    sync.expect(past).to_contain_text("4 of 4 done", timeout=LONG)
    phone = opened(PHONE, "dark")
    phone.click("tab-history")
    theirs = phone.page.locator('[data-test="history-group"]', has_text="Garden")
    theirs.wait_for()
    phone.shot("phone-dark-11-groups")
    theirs.locator('[data-test="history-group-open"]').click()
    sync.expect(theirs.locator('[data-test="history-item"]')).to_have_count(4, timeout=PATIENCE)
    phone.shot("phone-dark-11-groups-open")
    phone.check_access()
    phone.check_width()
    theirs.locator('[data-test="history-group-main"]').click()
    phone.of("group-folder").wait_for()
    phone.shot("phone-dark-12-group")
    phone.check_access()
    phone.check_width()
    past.locator('[data-test="history-group-delete"]').click()
    past.wait_for(state="detached")
    page.click("undo-toast")
    sync.expect(past).to_contain_text("4 of 4 done", timeout=PATIENCE)


def test_while_it_paints_a_knob_shows_what_the_preset_gave_it(opened, photo):
    page = opened()
    page.of("photo-input").set_input_files(photo)
    page.click("style-tile-dots", "preset-painterly", "advanced")
    page.of("number-epochs").fill("400")
    page.of("number-epochs").press("Enter")
    page.of("number-size").fill("96")
    page.of("number-size").press("Enter")
    page.click("paint")
    sync.expect(page.of("live").locator('[data-test="number-strength"]')).to_have_value("0.7", timeout=LONG)
    sync.expect(page.of("stop")).to_be_enabled(timeout=LONG)
    page.click("stop")
    page.result()
    sync.expect(page.page.locator(".stage-head")).to_contain_text("stopped early", timeout=PATIENCE)
    page.click("preset-painterly", "use-settings")
    sync.expect(page.of("preset-painterly")).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)


def test_a_run_pauses_goes_on_stops_and_is_cancelled_by_its_buttons(opened, photo):
    page = opened()
    page.of("photo-input").set_input_files(photo)
    page.click("style-tile-dots", "advanced")
    page.of("number-epochs").fill("400")
    page.of("number-epochs").press("Enter")
    page.of("number-size").fill("96")
    page.of("number-size").press("Enter")
    page.click("paint")
    page.of("preview").wait_for(timeout=LONG)
    page.shot("desktop-7-painting")
    page.check_access()
    page.click("pause")
    page.of("resume").wait_for(timeout=LONG)
    page.click("resume")
    sync.expect(page.of("stop")).to_be_enabled(timeout=LONG)
    page.click("stop")
    page.result()


def test_history_is_searched_pinned_deleted_and_brought_back(opened, photo):
    page = opened()
    page.paint(photo, "glass", 48)
    page.result()
    page.of("search").fill("glass")
    sync.expect(page.all("history-item")).to_have_count(1, timeout=PATIENCE)
    page.click("pin")
    page.click("delete")
    sync.expect(page.all("history-item")).to_have_count(0, timeout=PATIENCE)
    page.click("undo-toast")
    sync.expect(page.all("history-item")).to_have_count(1, timeout=PATIENCE)


def test_the_undo_of_a_deletion_stays_for_half_a_minute_and_while_it_is_pointed_at(opened, photo):
    page = opened()
    page.paint(photo, "flow", 48)
    page.result()
    page.page.clock.install()
    page.click("delete")
    toast = page.of("undo-toast")
    toast.wait_for()
    page.page.clock.fast_forward(25_000)
    toast.hover()
    page.page.clock.fast_forward(60_000)
    assert toast.is_visible()
    page.page.mouse.move(5, 5)
    page.page.clock.fast_forward(31_000)
    toast.wait_for(state="detached")


def test_two_tabs_show_the_same_jobs_and_either_may_act(opened, photo):
    first, second = opened(), opened(PHONE)
    second.of("style-tile-marble").wait_for()
    first.paint(photo, "marble", 48)
    first.result()
    second.click("tab-history")
    second.of("search").fill("marble")
    sync.expect(second.all("history-item")).to_have_count(1, timeout=PATIENCE)
    second.click("history-delete")
    first.of("search").fill("marble")
    sync.expect(first.all("history-item")).to_have_count(0, timeout=PATIENCE)


def test_the_picture_is_compared_and_zoomed_to_its_pixels(opened, photo):
    page = opened()
    page.paint(photo, "gold", 64)
    page.result()
    page.click("compare")
    slider = page.of("compare-slider")
    slider.focus()
    before = slider.input_value()
    page.page.keyboard.press("ArrowLeft")
    sync.expect(slider).not_to_have_value(before, timeout=PATIENCE)
    page.click("zoom")
    page.page.wait_for_selector('[data-test="zoom-view"][data-ready="true"]')
    page.shot("desktop-8-zoom")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_second_picture_to_compare_is_chosen_by_its_picture(size, opened, photo):
    page, name = opened(size), "desktop" if size == DESKTOP else "phone"
    for side in (48, 64):
        page.paint(photo, "pastel", side)
        sync.expect(page.of("history-item").locator("xpath=..")).to_contain_text(f"{side} px, strength", timeout=LONG)
        page.click(*(["tab-create"] if size == PHONE and side == 48 else []))
    page.click("compare-with")
    sync.expect(page.of("picking")).to_contain_text("Choose a second picture", timeout=PATIENCE)
    page.shot(f"{name}-8-picking")
    page.page.locator('[data-test="history-item"]').nth(1).click()
    page.of("compare-side").wait_for()
    assert page.all("picking").count() == 0
    page.shot(f"{name}-8-compared")


def test_a_picture_is_painted_by_the_keyboard_alone(opened, photo):
    page = opened()
    page.of("photo-input").set_input_files(photo)  # the system's window, which no page drives
    page.of("style-tile-pastel").wait_for()
    for test in ("style-tile-pastel", "number-size", "paint"):
        reach(page, test)
        if test == "number-size":
            page.page.keyboard.press("Control+A")
            page.page.keyboard.type("48")
            page.page.keyboard.press("Enter")
        else:
            page.page.keyboard.press("Enter")
    page.result()


def reach(page: Page, test: str) -> None:
    """Press Tab until something has the focus."""
    for _ in range(150):
        if page.page.evaluate("document.activeElement?.dataset?.test") == test:
            return
        page.page.keyboard.press("Tab")
    raise AssertionError(f"Tab never comes to {test}")


DROP = """async ([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(bytes)], name, { type: "video/mp4" }));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_a_film_is_dropped_painted_and_looked_at_frame_by_frame(size, scheme, opened, tmp_path):
    clip = write_film(tmp_path / "walk.mp4", pan(6, (72, 96), seed=size["width"]), sound="aac")
    page, name = opened(size, scheme), f"film-{scheme}"
    page.of("style-tile-dots").wait_for()
    page.page.evaluate(DROP, [clip.name, [*clip.read_bytes()]])
    sync.expect(page.of("film-facts")).to_have_text("0.24 s, 6 frames, 25 a second, sound", timeout=PATIENCE)
    page.click("style-tile-dots", "choice-quality-draft")
    page.of("text-from").fill("0.04")
    page.of("text-from").press("Enter")
    page.of("number-size").fill("96")
    page.of("number-size").press("Enter")
    sync.expect(page.of("plan")).to_contain_text("for 5 frames", timeout=LONG)
    page.check_access()
    page.shot(f"{name}-1-chosen")
    page.click("paint")
    page.of("film").wait_for(timeout=LONG)
    sync.expect(page.of("scrubber-at")).to_have_text("Frame 1 of 5")
    page.shot(f"{name}-2-painted")
    page.of("scrubber").focus()
    page.page.keyboard.press("End")
    sync.expect(page.of("scrubber-at")).to_have_text("Frame 5 of 5")
    sync.expect(page.of("frame")).to_have_attribute("src", re.compile("/frames/4$"))
    page.page.keyboard.press("ArrowLeft")
    sync.expect(page.of("frame")).to_have_attribute("src", re.compile("/frames/3$"))
    page.click("compare")
    shown = page.page.locator(".slider img")
    sync.expect(shown.first).to_have_attribute("src", re.compile("/frames/3/original$"))
    sync.expect(shown.first).to_have_js_property("complete", value=True)
    assert shown.first.evaluate("image => image.naturalWidth") == 96
    page.check_access()
    page.check_width()
    page.shot(f"{name}-3-compared")
    page.click("film-play")
    video = page.of("film")
    sync.expect(video).to_have_js_property("videoWidth", value=96, timeout=PATIENCE)
    page.click("download")
    saved = download(page, "download-mp4", tmp_path)
    assert saved.name == "walk x dots.mp4"
    assert len(frames_of(saved)) == 5
    page.page.keyboard.press("Escape")
    page.of("text-from").evaluate("field => field.value = ''")
    page.click("use-settings")
    sync.expect(page.of("text-from")).to_have_value("0.04", timeout=PATIENCE)
    assert page.of("choice-quality-draft").is_checked()


def test_a_film_is_paused_half_painted_looked_at_and_gone_on_with(opened, tmp_path):
    clip = write_film(tmp_path / "long walk.mp4", pan(40, (72, 96)))
    page = opened()
    page.of("photo-input").set_input_files(clip)
    page.click("style-tile-dots", "choice-quality-best")
    page.of("number-size").fill("96")
    page.of("number-size").press("Enter")
    page.click("paint")
    page.of("scrubber").wait_for(timeout=LONG)
    page.click("pause")
    page.of("resume").wait_for(timeout=LONG)
    page.shot("film-light-4-half")
    page.of("scrubber").focus()
    page.page.keyboard.press("End")  # of what is finished
    half = int(page.of("scrubber-at").inner_text().split()[1])
    assert 1 <= half < 40
    page.page.keyboard.press("Home")
    sync.expect(page.of("scrubber-at")).to_have_text("Frame 1 of 40")
    sync.expect(page.of("frame")).to_have_attribute("src", re.compile("/frames/0$"))
    page.check_access()
    page.click("resume")
    page.of("film").wait_for(timeout=LONG)
    assert page.of("scrubber").get_attribute("max") == "39"


def test_a_setting_that_is_added_has_its_control_without_a_line_more(browser, tmp_path):
    with serving(tmp_path, "-c", WITH_ANOTHER_KNOB) as address:
        page = Page(browser, address, DESKTOP)
        sync.expect(page.of("number-glitter")).to_have_value("0.25", timeout=PATIENCE)
        assert page.of("slider-glitter").is_visible()
        assert "How much it glitters." in page.of("control-glitter").inner_html()
        page.close()


def test_every_setting_that_is_no_file_has_a_control_and_a_help(opened):
    page = opened()
    page.of("style-tile-dots").wait_for()
    page.click("advanced")
    page.of("knob-search").wait_for()
    shown = set(page.page.evaluate("[...document.querySelectorAll('[data-test^=control-]')].map(e => e.dataset.test)"))
    from impasto.studio.schema import is_place, names_pictures

    wanted = {f"control-{knob}" for knob in Settings.model_fields if not (is_place(knob) or names_pictures(knob))}
    wanted -= {"control-style_weights"}  # the shares beside the styles
    assert wanted <= shown
