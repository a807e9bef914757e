//! What `report` and `features` show of models whose latents have no decoder rows, and of codes of two latents.

use super::report::{figure, grey_pictures, marks, stands_alone};
use crate::support::program::Place;

/// Runs an experiment with plugins from outside, and returns its page.
fn reported(architecture: &str) -> (Place, String) {
    let place = Place::with(&format!(
        "name = \"tiny\"\n[dataset]\nkind = \"digits\"\n[architecture]\n{architecture}\n[penalty]\nkind = \"none\"\n\
         [train]\nsteps = 20\n"
    ));
    place.run_outside(["x.toml"]).exits(0);
    place.run_outside(["report", "results/tiny", "--figures", "figures"]).exits(0);
    let page = place.read("results/tiny/report.html");
    stands_alone(&page);
    (place, page)
}

/// Wrong if a model without decoder rows showed nothing of its latents, or called what it shows decoder rows.
#[test]
fn latents_without_decoder_rows_show_the_inputs_that_they_prefer() {
    let (place, page) = reported("kind = \"two-layer\"\nlatents = 6");
    assert!(page.contains("<section id=\"preferred\">") && !page.contains("Decoder rows"));
    let [picture] = &*grey_pictures(&page, "Inputs that latents of") else { panic!("one picture") };
    assert!(picture.iter().flatten().any(|grey| *grey == 255), "each tile has its own scale");
    let png = std::fs::read(place.path("figures/preferred-none.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    assert!(!page.contains("<section id=\"kernels\">"), "it has no convolution");

    let words = ["features", "results/tiny", "none", "--latent", "3,5", "--pictures", "some"];
    let said = place.run_outside(words).exits(0);
    assert!(said.out.contains("input that activates it most: "), "{said}");
    for name in ["features.png", "examples.png", "latent-3.png", "latent-5.png"] {
        let png = std::fs::read(place.path("some").join(name)).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{name}");
    }
    let words = ["features", "results/tiny", "none", "--latent", "3", "--json"];
    let found = place.run_outside(words).exits(0).json();
    let latent = &found["shown"][0];
    assert!(latent["decoder_row"].is_null(), "{latent}");
    assert_eq!(latent["preferred_input"].as_array().unwrap().len(), 64);
    let found = place.run_outside(["features", "results/tiny", "none", "--json"]).exits(0).json();
    assert!(
        found["shown"][3]["preferred_input"].is_null(),
        "what nobody asked for is not searched"
    );
}

/// Wrong if a code of two latents were shown in another plane than its own, or nothing of what lies between codes;
/// or if other codes had such a picture.
#[test]
fn codes_of_two_latents_have_their_own_plane() {
    let caption = "Samples that none, seed 0, L0";
    let (place, page) = reported("kind = \"dense\"\nlatents = 2\nactivation = \"identity\"");
    let codes = figure(&page, "codes-none");
    assert_eq!(marks(codes), (360, 360));
    assert!(codes.contains("latent 0") && codes.contains("latent 1"));
    assert!(!codes.contains("principal component"), "{codes}");
    let [picture] = &*grey_pictures(&page, caption) else { panic!("one picture") };
    assert_eq!(picture.len(), 12 * 9 + 1, "twelve rows of tiles of 8 rows");
    let tile = |x: usize, y: usize| -> Vec<u8> {
        let rows = &picture[y * 9 + 1..y * 9 + 9];
        rows.iter().flat_map(|row| row[x * 9 + 1..x * 9 + 9].to_vec()).collect()
    };
    assert!(tile(0, 0) != tile(11, 0) && tile(0, 0) != tile(0, 11), "both latents are varied");
    assert!(place.path("figures/plane-none.png").exists());
    assert!(!page.contains("Walks between"), "it has not learnt what lies between codes");

    let (_, page) = reported("kind = \"dense\"\nlatents = 3\nactivation = \"identity\"");
    assert!(figure(&page, "codes-none").contains("principal component 1"));
    assert!(grey_pictures(&page, caption).is_empty() && !page.contains("<section id=\"decoded\">"));
}

/// Wrong if seeds that cannot be compared caused a warning each, or were passed over in silence.
#[test]
fn seeds_without_decoder_rows_are_not_compared_and_counted() {
    let place = Place::with(
        "name = \"tiny\"\nseeds = [0, 1, 2]\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"two-layer\"\n\
         latents = 6\n[penalty]\nkind = \"none\"\n[train]\nsteps = 5\n",
    );
    place.run_outside(["x.toml"]).exits(0);
    let said = place.run_outside(["report", "results/tiny"]).exits(0);
    assert_eq!(said.err, "", "nothing is amiss");
    let words = "hose latents have no decoder rows are not compared: 3";
    assert!(place.read("results/tiny/report.html").contains(words));
    let said = place.run_outside(["stability", "results/tiny"]).exits(0);
    assert!(said.err.contains(words) && !said.err.contains("warning"), "{said}");
}

/// Wrong if the figures of the prior lacked a setting or a latent, or if a walk were missing or began elsewhere than
/// at a test sample.
#[test]
fn variational_codes_show_their_prior_and_walks() {
    let place = Place::with(
        "name = \"tiny\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"variational\"\n\
         hidden = [16]\nlatents = 3\ndecoder = \"sigmoid\"\n[penalty]\nkind = \"none\"\n[train]\nepochs = 3\n\
         [grid]\n\"architecture.beta\" = [0.01, 10.0]\n",
    );
    place.run(["x.toml"]).exits(0);
    place.run(["report", "results/tiny", "--figures", "figures"]).exits(0);
    let page = place.read("results/tiny/report.html");
    stands_alone(&page);
    assert_eq!(marks(figure(&page, "prior-trade")), (2, 2), "a mark a setting");
    let latents = figure(&page, "prior-latents-none");
    assert_eq!(marks(latents), (6, 6), "a mark a latent");
    assert!(latents.contains("0.01 nats"));
    assert_eq!(grey_pictures(&page, "Inputs that latents of").len(), 2);
    let [walks] = &*grey_pictures(&page, "Walks between two test samples of different classes")
    else {
        panic!("one picture");
    };
    assert_eq!((walks.len(), walks[0].len()), (3 * 9 + 1, 12 * 9 + 1), "three walks of ten codes");
    let samples = &grey_pictures(&page, "Test samples above")[0];
    let first = |picture: &[Vec<u8>]| -> Vec<Vec<u8>> {
        picture[1..9].iter().map(|row| row[1..9].to_vec()).collect()
    };
    assert_eq!(first(walks), first(samples), "the first sample that is shown is at its end");
}
