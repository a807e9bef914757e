//! The page of a report in a real browser: its drawings, its clicks, and that it requests nothing.
//! The test needs Chromium and its driver, Debian's packages `chromium` and `chromium-driver`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::support::program::{Place, numbers, texts};
use crate::support::skipped::skipped;

/// Whether both programs are installed.
fn found() -> bool {
    let is_there = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    let there = is_there("chromium") && is_there("chromedriver");
    if !there {
        skipped(
            "there is no Chromium to open the page in; Debian's packages chromium and chromium-driver have \
             `chromium` and `chromedriver`",
        );
    }
    there
}

/// A browser, driven over WebDriver. Both programs end with this value.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser with a screen of this width in pixels; less than 500 is a phone.
    fn new(width: u32) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "chromedriver does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", browser._profile.path().display()));
        arguments.push(format!("--window-size={width},900"));
        let mut options = json!({ "args": arguments });
        if width < 500 {
            let screen = json!({ "width": width, "height": 844, "pixelRatio": 2.0, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": screen });
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let answer = browser.ask("POST", "/session", &wanted);
        browser.session =
            answer["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        browser
    }

    fn ask(&self, method: &str, path: &str, body: &Json) -> Json {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let body = body.to_string();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        let answer: Json = serde_json::from_slice(&answer).unwrap();
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {answer}");
        answer["value"].clone()
    }

    fn post(&self, what: &str, body: &Json) -> Json {
        self.ask("POST", &format!("/session/{}/{what}", self.session), body)
    }

    fn open(&self, page: &Path) {
        self.post("url", &json!({ "url": format!("file://{}", page.display()) }));
    }

    /// Runs a script and returns its value.
    fn run(&self, script: &str) -> Json {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The first element that a selector finds.
    fn element(&self, using: &str, value: &str) -> String {
        let found = self.post("element", &json!({ "using": using, "value": value }));
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    fn click(&self, xpath: &str) {
        let element = self.element("xpath", xpath);
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    fn write(&self, selector: &str, text: &str) {
        let element = self.element("css selector", selector);
        self.post(&format!("element/{element}/clear"), &json!({}));
        self.post(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Texts of a column in the visible rows, from the top.
    fn column(&self, heading: &str) -> Vec<String> {
        let shown = self.run(&format!(
            "const table = document.querySelector('table.sortable');
             const at = [...table.tHead.rows[0].cells].findIndex((cell) =>
                 (cell.querySelector('small') ?? cell).textContent === '{heading}');
             return [...table.tBodies[0].rows].filter((row) => row.offsetParent !== null)
                 .map((row) => row.cells[at].textContent);"
        ));
        shown.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_owned()).collect()
    }

    /// Switches the page to dark, as a reader may prefer it.
    fn darken(&self) {
        let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        let command = json!({ "cmd": "Emulation.setEmulatedMedia", "params": dark });
        self.post("goog/cdp/execute", &command);
    }

    /// Words that cannot be read: with too little contrast, cut off, overlapping others or outside the
    /// screen.
    fn unreadable(&self) -> Json {
        self.run(UNREADABLE)
    }

    /// Messages of the console, and all requested addresses.
    fn heard(&self) -> (Vec<String>, Vec<String>) {
        let log =
            |kind: &str| self.post("se/log", &json!({ "type": kind })).as_array().unwrap().clone();
        let console = log("browser").iter().map(|entry| entry["message"].to_string()).collect();
        let events = log("performance").into_iter().map(|entry| {
            let event: Json = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            event["message"].clone()
        });
        // The browser's own first page sends requests too.
        let asked = events.filter(|event| {
            let page = event["params"]["documentURL"].as_str().unwrap_or_default();
            event["method"] == "Network.requestWillBeSent" && !page.starts_with("chrome:")
        });
        let asked =
            asked.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned());
        (console, asked.collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Pictures of the page that are not drawn, not headed, too small to read the numbers above tiles, or hide a part.
/// Numbers are five rows of dots, which nobody reads at less than five pixels.
const UNSEEN: &str = "
    const found = [];
    const pictures = [...document.querySelectorAll('figure.picture')];
    if (pictures.length !== 16) found.push(['pictures', pictures.length]);
    for (const figure of pictures) {
        const image = figure.querySelector('img');
        const box = image.getBoundingClientRect();
        const words = (figure.querySelector('h3') || figure).textContent;
        if (!image.complete || image.naturalWidth === 0) found.push(['not drawn', words]);
        if (!/: run [0-9a-f]{16}, seed [01]$/.test(words)) found.push(['heading', words]);
        if (Math.abs(box.width / box.height - image.naturalWidth / image.naturalHeight) > 0.05)
            found.push(['distorted', words, box.width, box.height]);
        if (box.right > document.documentElement.clientWidth || box.left < 0) found.push(['outside', words]);
        if (!image.alt.startsWith('Decoder rows')) continue;
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
        const is_inked = (row) => {
            for (let x = 0; x < canvas.width; x++) {
                const at = 4 * (row * canvas.width + x);
                if (data[at] + data[at + 1] + data[at + 2] === 0) return true;
            }
            return false;
        };
        let top = 0;
        while (top < canvas.height && !is_inked(top)) top++;
        let end = top;
        while (end < canvas.height && is_inked(end)) end++;
        const digits = (end - top) * box.height / canvas.height;
        if (!(digits * devicePixelRatio >= 5)) found.push(['digits', words, digits]);
    }
    return found;";

/// WCAG 2's contrast of words is at least 4.5. Words of cells of a heat map are on the colour of the cell,
/// and what is in a table or a file scrolls in its own frame.
const UNREADABLE: &str = "
    const light = (color) => {
        const [r, g, b] = color.match(/[0-9.]+/g).map((part) => Number(part) / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        const color = element ? getComputedStyle(element).backgroundColor : 'rgb(255, 255, 255)';
        return color === 'rgba(0, 0, 0, 0)' ? ground(element.parentElement) : color;
    };
    const found = [];
    const shown = [...document.querySelectorAll('body *')].filter((element) => element.offsetParent !== null
        || element.ownerSVGElement);
    for (const element of shown) {
        const is_scrolled = element.closest('.table, pre');
        const box = element.getBoundingClientRect();
        if (!is_scrolled && box.right > document.documentElement.clientWidth + 1) found.push(['outside', element.outerHTML.slice(0, 80)]);
        const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!says || element.closest('g.marks, script, style, title')) continue;
        const style = getComputedStyle(element);
        const [a, b] = [light(element.ownerSVGElement ? style.fill : style.color), light(ground(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) found.push(['contrast', contrast, element.outerHTML.slice(0, 80)]);
    }
    for (const svg of document.querySelectorAll('figure svg')) {
        const frame = svg.getBoundingClientRect();
        const words = [...svg.querySelectorAll('text')].filter((text) => !text.closest('g.marks'));
        const boxes = words.map((text) => text.getBoundingClientRect());
        boxes.forEach((box, at) => {
            if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
                || box.bottom > frame.bottom + 1)
                found.push(['cut off', svg.parentElement.id, words[at].textContent.trim()]);
            boxes.slice(0, at).forEach((other, before) => {
                const wide = Math.min(box.right, other.right) - Math.max(box.left, other.left);
                const high = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
                // Boxes are somewhat larger than letters.
                if (wide > 1 && high > 0.3 * Math.min(box.height, other.height))
                    found.push(['over', svg.parentElement.id, words[at].textContent.trim(),
                        words[before].textContent.trim()]);
            });
        });
    }
    return found;";

const EXPERIMENT: &str = "name = \"tiny\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\n[architecture]\n\
    kind = \"dense\"\nlatents = 16\n[train]\nsteps = 20\n[grid]\npenalty = [{ kind = \"l1\", lambda = 0.1 }, \
    { kind = \"l1\", lambda = 0.3 }, { kind = \"k-sparse\", k = 3 }, { kind = \"k-sparse\", k = 6 }]\n\
    \"train.optimizer.lr\" = [0.001, 0.0012345678901]\n";

/// Wrong if a click sorted nothing, a filter hid the wrong rows, a mark were not drawn, the console had a
/// message, the page sent a request, did not fit a phone, had words that cannot be read, light or dark, or pictures
/// that cannot be seen or say not whose they are.
#[test]
fn the_page_works_in_a_browser() {
    if !found() {
        return;
    }
    let place = Place::with(EXPERIMENT);
    place.run(["x.toml"]).exits(0);
    place.run(["report", "results/tiny"]).exits(0);
    let (page, table) = (place.path("results/tiny/report.html"), place.table("tiny/runs"));
    let browser = Browser::new(1280);
    browser.open(&page);

    let marks = browser.run(
        "return [...document.querySelectorAll('figure[data-marks]')].map((figure) =>
             [figure.id, Number(figure.dataset.marks), figure.querySelectorAll('.mark').length,
              [...figure.querySelectorAll('.mark')].filter((mark) => mark.getBoundingClientRect().width > 1).length]);",
    );
    let marks = marks.as_array().unwrap();
    assert!(marks.len() >= 10, "{marks:?}");
    for figure in marks {
        assert!(figure[1] == figure[2] && figure[2] == figure[3], "{figure}");
    }
    let front = marks.iter().find(|figure| figure[0] == "front-test-mse").unwrap();
    assert_eq!(front[1], 8, "a mark a setting");
    let stability = marks.iter().find(|figure| figure[0] == "stability").unwrap();
    assert_eq!(stability[1], 8, "a mark a setting of two seeds");
    let heat = marks.iter().find(|figure| figure[0] == "settings-l1-test-mse").unwrap();
    assert_eq!(heat[1], 4, "a cell for each pair of values");

    let sorted = |column: &str| {
        let mut values: Vec<f64> =
            numbers(&table, column).into_iter().map(Option::unwrap).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let shown = || -> Vec<f64> {
        browser.column("test_mse").iter().map(|cell| cell.parse().unwrap()).collect()
    };
    let is_near = |shown: &[f64], known: &[f64]| {
        assert_eq!(shown.len(), known.len());
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-3 * b.abs();
        assert!(shown.iter().zip(known).all(near), "{shown:?} {known:?}");
    };
    let heading = "//table[contains(@class,'sortable')]//th/button[small='test_mse']";
    browser.click(heading);
    is_near(&shown(), &sorted("test_mse"));
    browser.click(heading);
    is_near(&shown(), &sorted("test_mse").into_iter().rev().collect::<Vec<_>>());

    browser.write("input[name=words]", "K-SPARSE");
    assert_eq!(browser.column("penalty"), vec!["k-sparse"; 8]);
    let id = &texts(&table, "run_id")[0];
    browser.write("input[name=words]", id);
    assert_eq!(browser.column("run_id"), std::slice::from_ref(id));
    browser.write("input[name=words]", "nothing has this");
    assert!(browser.column("run_id").is_empty());
    browser.write("input[name=words]", " ");
    assert_eq!(browser.column("run_id").len(), 16);
    browser.click("//select[@name='choice']/option[.='done']");
    assert_eq!(browser.column("status"), vec!["done"; 16]);

    let color = || browser.run("return getComputedStyle(document.body).backgroundColor;");
    assert_eq!(color(), "rgb(255, 255, 255)");
    assert_eq!(browser.unreadable(), json!([]));
    assert_eq!(browser.run(UNSEEN), json!([]));
    browser.darken();
    assert_eq!(browser.unreadable(), json!([]), "dark");
    assert_eq!(browser.run(UNSEEN), json!([]), "dark");
    assert_ne!(color(), "rgb(255, 255, 255)", "dark where the reader wants it");

    let (console, asked) = browser.heard();
    assert!(console.is_empty(), "{console:?}");
    assert!(
        !asked.is_empty() && asked.iter().any(|url| url.starts_with("file:")),
        "nothing was heard"
    );
    let strange =
        |url: &&String| !url.starts_with("data:") && !url.ends_with("/results/tiny/report.html");
    assert_eq!(asked.iter().find(strange), None);

    let phone = Browser::new(390);
    phone.open(&page);
    let width = phone.run("return [innerWidth, document.documentElement.scrollWidth];");
    assert_eq!(width, json!([390, 390]), "the page scrolls sideways");
    assert_eq!(phone.unreadable(), json!([]), "on a phone");
    assert_eq!(phone.run(UNSEEN), json!([]), "on a phone");
    phone.darken();
    assert_eq!(phone.unreadable(), json!([]), "on a phone in the dark");
    assert_eq!(phone.run(UNSEEN), json!([]), "on a phone in the dark");
}
