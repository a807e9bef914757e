//! `report`: one page that opens anywhere, agrees with the tables, and requests nothing.

use store::read_png;

use crate::support::program::{Place, TINY, changes, numbers, texts};

const TWO_METHODS: &str = "name = \"tiny\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\n[architecture]\n\
    kind = \"dense\"\nlatents = 16\n[train]\nsteps = 20\n[grid]\npenalty = [{ kind = \"l1\", lambda = 0.1 }, \
    { kind = \"l1\", lambda = 0.3 }, { kind = \"k-sparse\", k = 3 }, { kind = \"k-sparse\", k = 6 }]\n";

/// The page about the experiment in `x.toml`, and its place.
fn reported(text: &str, code: i32) -> (Place, String) {
    let place = Place::with(text);
    place.run(["x.toml"]).exits(code);
    let said = place.run(["report", "results/tiny", "--figures", "figures"]).exits(0);
    assert_eq!(said.out.trim(), "results/tiny/report.html");
    assert_eq!(said.err, "", "nothing is amiss");
    let page = place.read("results/tiny/report.html");
    stands_alone(&page);
    (place, page)
}

/// Wrong if the page could request anything outside of itself.
pub(super) fn stands_alone(page: &str) {
    let rest = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for word in
        ["http:", "https:", "url(", "@import", "<link rel=\"stylesheet", "src=\"/", "fetch("]
    {
        assert!(!rest.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains(">NaN") && !page.contains(">inf"), "what is no number is not shown");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    for figure in figures(page) {
        let (promised, drawn) = marks(figure);
        assert_eq!(promised, drawn, "{figure}");
        assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure}");
    }
}

fn figures(page: &str) -> Vec<&str> {
    page.split("<figure id=").skip(1).filter_map(|rest| rest.split("</figure>").next()).collect()
}

/// Number of marks that a figure promises, and number of marks drawn.
pub(super) fn marks(figure: &str) -> (usize, usize) {
    let promised = figure.split("data-marks=\"").nth(1).and_then(|rest| rest.split('"').next());
    (promised.unwrap().parse().unwrap(), figure.matches("class=\"mark\"").count())
}

pub(super) fn figure<'p>(page: &'p str, name: &str) -> &'p str {
    let name = format!("\"{name}\"");
    figures(page)
        .into_iter()
        .find(|figure| figure.starts_with(&name))
        .unwrap_or_else(|| panic!("no {name}"))
}

fn rows(page: &str) -> usize {
    let table = page.split("<table class=\"sortable\">").nth(1).unwrap();
    table.split("</table>").next().unwrap().matches("<tr>").count() - 1
}

/// Wrong if a page named a seed that does not exist: this one has more digits than a floating-point number.
#[test]
fn seeds_are_named_with_all_their_digits() {
    let (place, page) = reported(&format!("seeds = [{}]\n{TINY}", i64::MAX), 0);
    assert!(page.contains("seed 9223372036854775807, L0"), "the pictures say whose they are");
    let figure = place.read("figures/codes-l1.svg");
    for text in [page, figure] {
        assert!(!text.contains("9223372036854775808"));
    }
}

/// Wrong if a setting had no mark, a run no row, or a figure no file.
#[test]
fn the_page_shows_every_setting_and_every_run() {
    let (place, page) = reported(TWO_METHODS, 0);
    assert_eq!(marks(figure(&page, "front-test-mse")), (4, 4));
    assert_eq!(rows(&page), 8);
    // Every test sample has a mark: there are 360.
    assert_eq!(marks(figure(&page, "codes-l1")), (360, 360));
    for name in ["curve-l1-test-mse", "curve-k-sparse-test-mse"] {
        assert_eq!(figure(&page, name).matches("class=\"line\"").count(), 2, "a line a setting");
    }
    for name in ["loss-l1", "firing-rates-k-sparse", "mean-activation-l1"] {
        assert!(figure(&page, name).contains("class=\"line\""), "{name}");
    }
    // For each setting the dictionary, and samples beside their reconstructions, with the setting and its run.
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 8);
    for (setting, name) in [
        ("l1 lambda=0.1", "l1-lambda-0.1"),
        ("l1 lambda=0.3", "l1-lambda-0.3"),
        ("k-sparse k=3", "k-sparse-k-3"),
        ("k-sparse k=6", "k-sparse-k-6"),
    ] {
        assert_eq!(page.matches(&format!("<h3>{setting}: run ")).count(), 2, "{setting}");
        for kind in ["atoms", "reconstructions"] {
            let png = std::fs::read(place.path(format!("figures/{kind}-{name}.png"))).unwrap();
            let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
            assert!(width >= 945, "300 dots an inch at 8 cm: {width}");
        }
    }
    assert!(!page.contains("Shown are "), "nothing is left out");
    for figure in figures(&page) {
        let name = figure[1..].split('"').next().unwrap();
        let svg = place.read(format!("figures/{name}.svg"));
        assert!(svg.starts_with("<svg") && !svg.contains("var(") && !svg.contains("currentColor"));
        let png = std::fs::read(place.path(format!("figures/{name}.png"))).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{name}");
    }
    let table = place.table("tiny/runs");
    for id in texts(&table, "run_id") {
        assert!(page.contains(&id), "{id}");
    }
    assert_eq!(numbers(&table, "test_mse").len(), 8);
}

/// Pairs of runs in the table of stability.
fn pairs(place: &Place) -> Vec<(String, String)> {
    let table = place.table("tiny/stability");
    texts(&table, "run_id").into_iter().zip(texts(&table, "other_run_id")).collect()
}

/// Wrong if the page disagreed with the table, or compared dictionaries again that the table has.
#[test]
fn the_page_says_what_seeds_have_in_common() {
    let (place, page) = reported(TWO_METHODS, 0);
    assert_eq!(marks(figure(&page, "stability")), (4, 4), "a mark a setting");
    let section = page.split("<section id=\"stability\">").nth(1).unwrap();
    let section = section.split("</section>").next().unwrap();
    let found = numbers(&place.table("tiny/stability"), "matched_cosine");
    assert_eq!(found.len(), 4, "two seeds of each setting");
    for cosine in found {
        // The mean, the least and the greatest of one pair.
        let cell = format!(">{:.4}<", cosine.unwrap());
        assert!(section.matches(&cell).count() >= 3, "{cell} in {section}");
    }
    let file = place.path("results/tiny/stability.parquet");
    let made = changes(&place.path("results/tiny"))[&file];
    for command in ["stability", "report"] {
        place.run([command, "results/tiny"]).exits(0);
        assert_eq!(changes(&place.path("results/tiny"))[&file], made, "{command}: nothing was new");
    }
}

/// Wrong if a page that shows some settings of a method removed the others from the table.
#[test]
fn a_page_keeps_what_is_known_of_settings_that_it_does_not_show() {
    let text = format!(
        "seeds = [0, 1]\n{}[grid]\n\"penalty.lambda\" = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]\n",
        TINY.replace("epochs = 1", "steps = 5")
    );
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(0);
    place.run(["stability", "results/tiny"]).exits(0);
    let known = pairs(&place);
    assert_eq!(known.len(), 8);
    place.run(["x.toml", "--set", "seeds=[0, 1, 2]"]).exits(0);
    place.run(["report", "results/tiny"]).exits(0);
    let more = pairs(&place);
    assert!(known.iter().all(|pair| more.contains(pair)), "{more:?}");
    assert!((9..24).contains(&more.len()), "the page compares what it shows: {more:?}");
    place.run(["stability", "results/tiny"]).exits(0);
    assert_eq!(pairs(&place).len(), 24);
}

/// Wrong if a value that looks like a tag became one.
#[test]
fn what_users_write_is_text() {
    let evil = "# <script>alert(1)</script> <img src=x onerror=alert(1)>\n";
    let (_, page) = reported(&format!("{evil}{TINY}"), 0);
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
    assert!(!page.contains("<img src=x"));
}

/// Wrong if one run were not enough for a page, or if it won.
#[test]
fn one_run_has_a_page() {
    let (_, page) = reported(TINY, 0);
    assert_eq!((rows(&page), marks(figure(&page, "front-test-mse"))), (1, (1, 1)));
    assert!(page.contains("nothing to compare it with"));
}

/// Wrong if runs that did not end well entered a mean, or went unmentioned.
#[test]
fn runs_that_diverged_are_counted_and_left_out() {
    let text = format!(
        "{TINY}optimizer = {{ kind = \"sgd\", lr = 0.01 }}\n[grid]\n\"train.optimizer.lr\" = [0.01, 1e30]\n"
    );
    let (_, page) = reported(&text, 100);
    assert!(page.contains("2 runs: 1 diverged, 1 done."), "{page}");
    assert!(page.contains("Left out of all comparisons and means: 1 diverged."));
    assert_eq!((rows(&page), marks(figure(&page, "front-test-mse"))), (2, (1, 1)));

    let (_, page) = reported(&format!("{TINY}optimizer = {{ kind = \"sgd\", lr = 1e30 }}\n"), 100);
    assert!(page.contains("No run is done yet") && figures(&page).is_empty());
    assert_eq!(rows(&page), 1);
}

/// Wrong if two numeric axes had no map, or if a cell were missing.
#[test]
fn two_axes_make_a_map() {
    let text = format!(
        "{TINY}[grid]\n\"penalty.lambda\" = [0.01, 0.1, 1.0]\n\"architecture.latents\" = [8, 16]\n"
    );
    let (_, page) = reported(&text, 0);
    assert_eq!(marks(figure(&page, "settings-l1-test-mse")), (6, 6));
    assert_eq!(marks(figure(&page, "settings-l1-test-l0")), (6, 6));
}

/// Wrong if the page of data with known features did not show how many are found.
#[test]
fn true_features_are_compared_with_those_found() {
    let text = "name = \"tiny\"\n[dataset]\nkind = \"sparse-dictionary\"\ninputs = 8\nfeatures = 12\nactive = 2\n\
                train = 200\ntest = 50\n[architecture]\nkind = \"dense\"\nlatents = 16\n[train]\nepochs = 1\n";
    let (_, page) = reported(text, 0);
    assert!(figure(&page, "recovery").contains("class=\"line\""));
}

/// Pictures on a page whose captions begin so, as grey rows of pixels from the top.
pub(super) fn grey_pictures(page: &str, caption: &str) -> Vec<Vec<Vec<u8>>> {
    let start = format!("alt=\"{caption}");
    let starts = page.split(&start).skip(1);
    let found = starts.map(|rest| {
        let text = rest.split("base64,").nth(1).unwrap().split('"').next().unwrap();
        let pixels = read_png(&from_base64(text)).unwrap();
        let row = |row: &[u8]| row.chunks(pixels.channels).map(|pixel| pixel[0]).collect();
        pixels.bytes.chunks(pixels.width * pixels.channels).map(row).collect()
    });
    found.collect()
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .bytes()
        .filter_map(|byte| match byte {
            b'A'..=b'Z' => Some(byte - b'A'),
            b'a'..=b'z' => Some(byte - b'a' + 26),
            b'0'..=b'9' => Some(byte - b'0' + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        })
        .map(u32::from)
        .collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let number = (0..4).fold(0, |sum, at| sum << 6 | four.get(at).copied().unwrap_or(0));
        number.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}

/// Wrong if the noise were not that of the run, or noisy and clean samples were not the same.
#[test]
fn noisy_reconstructed_and_clean_samples_stand_side_by_side() {
    let clean = "Test samples above";
    let (_, page) = reported(TINY, 0);
    assert!(grey_pictures(&page, "Test samples with the noise").is_empty());
    assert_eq!(grey_pictures(&page, clean).len(), 1);

    for normalize in ["none", "standard"] {
        let text = TINY.replace(
            "kind = \"digits\"",
            &format!("kind = \"digits\"\nnormalize = \"{normalize}\""),
        );
        let noise = "[corruption]\nkind = \"block\"\nwhere = \"lower-half\"\n";
        let (_, page) = reported(&format!("{text}{noise}"), 0);
        let pictures =
            grey_pictures(&page, "Test samples with the noise of training (`block`) above");
        let [picture] = &*pictures else { panic!("{} pictures", pictures.len()) };
        assert_eq!(picture.len(), 3 * 9 + 1, "three rows of tiles of 8 rows");
        let tiles = |row: usize| &picture[row * 9 + 1..row * 9 + 9];
        let (noisy, x_hat, right) = (tiles(0), tiles(1), tiles(2));
        assert_eq!(noisy[..4], right[..4], "the upper half is clean");
        if normalize == "none" {
            assert!(
                noisy[4..].iter().flatten().all(|grey| [0, 200].contains(grey)),
                "the lower is 0"
            );
        }
        assert!(noisy[4..] != right[4..] && x_hat != noisy && x_hat != right);
        let known = &grey_pictures(&page, clean)[0];
        assert_eq!(known[1..9], *right, "the same samples as without noise");
        assert!(known[10..18] != *x_hat, "noisy samples have other reconstructions");
    }
}

/// Wrong if latents of a group were torn apart, or groups were not told from each other.
#[test]
fn groups_of_latents_are_blocks_of_tiles() {
    let text = TINY.replace("kind = \"l1\"", "kind = \"group-lasso\"\ngroup_size = 4");
    let (_, page) = reported(&text, 0);
    assert!(page.contains("a block for each group of 4 latents: the 4 of 4 groups"), "{page}");
    // Four blocks of two tiles of 8 numbers, with two pixels around tiles and a space of 5 numbers between blocks, in
    // the first whole scale that makes it at least 640 pixels wide.
    let png = page.split("alt=\"Decoder rows of").nth(1).unwrap().split("base64,").nth(1).unwrap();
    let png = from_base64(png.split('"').next().unwrap());
    let width = |scale: u32| 8 * (8 * scale + 2) + 2 + 3 * 5 * scale;
    let scale = (1..).find(|scale| width(*scale) >= 640).unwrap();
    assert_eq!(u32::from_be_bytes(png[16..20].try_into().unwrap()), width(scale));
    let (_, page) = reported(TINY, 0);
    assert!(!page.contains("a block for each group"));
}

/// Wrong if settings went without pictures and nothing said so, or if pictures of many settings made a page that is
/// slow to open.
#[test]
fn settings_without_pictures_are_counted() {
    let strengths: Vec<String> =
        (1..=14).map(|nth| format!("{}", f64::from(nth) / 100.0)).collect();
    let text = format!("{TINY}[grid]\n\"penalty.lambda\" = [{}]\n", strengths.join(", "));
    let (_, page) = reported(&text.replace("epochs = 1", "steps = 3"), 0);
    let sheets = page.matches("alt=\"Decoder rows of").count();
    assert!((1..=7).contains(&sheets), "{sheets}");
    assert!(page.contains(" of 14 settings of l1, those on the front first."), "{page}");
}

/// Wrong if a folder without results gave an empty page, or a panic.
#[test]
fn folders_without_results_are_refused() {
    let place = Place::with(TINY);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.run(["report", "empty"]).exits(74).complains(["`empty` is no experiment folder"]);
    place.run(["report", "nowhere"]).exits(74).complains(["`nowhere` is no experiment folder"]);
    place.run(["x.toml"]).exits(0);
    for id in place.run_ids("tiny") {
        std::fs::remove_dir_all(place.path("results/tiny/runs").join(id)).unwrap();
    }
    place
        .run(["report", "results/tiny"])
        .exits(74)
        .complains(["no run in `results/tiny` has ended"]);
    place.run(["report", "results/tiny", "--by", "penalti"]).exits(74);
}

/// Wrong if a damaged file removed more than its own part of the page, or went unmentioned.
#[test]
fn a_damaged_model_costs_its_pictures_alone() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    let id = place.run_ids("tiny").remove(0);
    let model = place.path("results/tiny/runs").join(&id).join("model.safetensors");
    std::fs::write(&model, "no model").unwrap();
    place
        .run(["report", "results/tiny", "--output", "page.html"])
        .exits(0)
        .complains(["warning", &id, "damaged"]);
    let page = place.read("page.html");
    stands_alone(&page);
    assert!(!page.contains("data:image/png") && rows(&page) == 1);
}
