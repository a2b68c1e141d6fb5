//! What the authors of the models measured, to stand beside what is measured here.
//!
//! Source: the model cards of Taiyi-CLIP in the documentation of Fengshenbang (太乙系列): zero-shot text-to-image
//! retrieval and zero-shot classification, in per cent. Later versions of a card may give other numbers.

use anyhow::bail;
use serde_json::{Map, Value, json};

use crate::flags::PublishedSet;
use crate::output::table::{Align, align};

/// The k of a set's numbers for retrieval.
pub(super) const RETRIEVAL_KS: [usize; 3] = [1, 5, 10];
/// The k of a set's numbers for classification.
pub(super) const CLASSIFICATION_KS: [usize; 2] = [1, 5];

/// Text → image: R@1, R@5, R@10.
const RETRIEVAL: [(PublishedSet, &str, [f64; 3]); 11] = [
    (PublishedSet::CocoCn, "taiyi-102m", [25.47, 51.70, 63.07]),
    (PublishedSet::CocoCn, "taiyi-326m", [52.61, 80.34, 89.55]),
    (PublishedSet::CocoCn, "taiyi-102m-vit-l", [55.27, 81.10, 90.78]),
    (PublishedSet::CocoCn, "taiyi-326m-vit-h", [60.02, 83.95, 93.26]),
    (PublishedSet::Wukong50k, "taiyi-102m", [48.67, 81.77, 90.09]),
    (PublishedSet::Wukong50k, "taiyi-326m", [60.16, 90.36, 95.61]),
    (PublishedSet::Wukong50k, "taiyi-102m-vit-l", [64.95, 91.77, 96.28]),
    (PublishedSet::Wukong50k, "taiyi-326m-vit-h", [66.85, 92.81, 96.69]),
    (PublishedSet::Flickr30kCna, "taiyi-326m", [51.08, 78.20, 85.94]),
    (PublishedSet::Flickr30kCna, "taiyi-102m-vit-l", [58.32, 82.96, 89.40]),
    (PublishedSet::Flickr30kCna, "taiyi-326m-vit-h", [60.82, 85.00, 91.04]),
];

/// Top-1, top-5.
const CLASSIFICATION: [(PublishedSet, &str, [f64; 2]); 4] = [
    (PublishedSet::Imagenet1kCn, "taiyi-102m", [41.00, 69.19]),
    (PublishedSet::Imagenet1kCn, "taiyi-326m", [51.72, 78.46]),
    (PublishedSet::Imagenet1kCn, "taiyi-102m-vit-l", [55.04, 81.75]),
    (PublishedSet::Imagenet1kCn, "taiyi-326m-vit-h", [54.35, 80.64]),
];

/// A row of the published numbers: shares for each k, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Published {
    pub(super) set: PublishedSet,
    pub(super) shares: Vec<(usize, f64)>,
}

/// R@k of a model, text → image.
pub(super) fn of_retrieval(set: PublishedSet, model: &str) -> anyhow::Result<Published> {
    if set == PublishedSet::Imagenet1kCn {
        bail!(
            "imagenet1k-cn has classes, not captions: type taiyi-search eval classification --published {set}"
        );
    }
    find(&RETRIEVAL, set, model, RETRIEVAL_KS)
}

/// Top-k of a model.
pub(super) fn of_classification(set: PublishedSet, model: &str) -> anyhow::Result<Published> {
    if set != PublishedSet::Imagenet1kCn {
        bail!("{set} has captions, not classes: type taiyi-search eval retrieval --published {set}");
    }
    find(&CLASSIFICATION, set, model, CLASSIFICATION_KS)
}

fn find<const N: usize>(
    table: &[(PublishedSet, &str, [f64; N])],
    set: PublishedSet,
    model: &str,
    ks: [usize; N],
) -> anyhow::Result<Published> {
    let of_set: Vec<_> = table.iter().filter(|row| row.0 == set).collect();
    match of_set.iter().find(|row| row.1 == model) {
        Some((_, _, percents)) => Ok(Published {
            set,
            shares: ks.into_iter().zip(percents.iter().map(|percent| percent / 100.0)).collect(),
        }),
        None => {
            let models: Vec<&str> = of_set.iter().map(|row| row.1).collect();
            bail!(
                "no numbers are published for the model {model} on {set}: there are for {}",
                models.join(", ")
            )
        }
    }
}

/// Shares by their k.
pub(super) fn by_k(shares: &[(usize, f64)]) -> Map<String, Value> {
    shares.iter().map(|(k, share)| (k.to_string(), json!(share))).collect()
}

/// How much more was measured here than is published, for each k of both.
fn differences<'a>(
    published: &'a Published,
    here: &'a [(usize, f64)],
) -> impl Iterator<Item = (usize, f64)> + 'a {
    here.iter().filter_map(|(k, share)| {
        let (_, published) = published.shares.iter().find(|(of, _)| of == k)?;
        Some((*k, share - published))
    })
}

/// The same for scripts, as shares.
pub(super) fn beside_as_json(published: &Published, here: &[(usize, f64)]) -> Value {
    let difference: Vec<(usize, f64)> = differences(published, here).collect();
    json!({
        "set": published.set.to_string(),
        "published": by_k(&published.shares),
        "measured": by_k(here),
        "difference": by_k(&difference),
    })
}

/// What is published, what was measured here and the difference, in per cent as the authors write it.
pub(super) fn beside(published: &Published, prefix: &str, here: &[(usize, f64)]) -> Vec<String> {
    let row = |name: String, cells: &mut dyn Iterator<Item = String>| {
        let mut row = vec![name];
        row.extend(cells);
        row
    };
    let percents = |shares: &[(usize, f64)]| -> Vec<String> {
        shares.iter().map(|(_, share)| format!("{:.2}", 100.0 * share)).collect()
    };
    let rows = [
        row("in %".into(), &mut published.shares.iter().map(|(k, _)| format!("{prefix}{k}"))),
        row("measured here".into(), &mut percents(here).into_iter()),
        row(format!("published on {}", published.set), &mut percents(&published.shares).into_iter()),
        row(
            "difference".into(),
            &mut differences(published, here).map(|(_, d)| format!("{:+.2}", 100.0 * d)),
        ),
    ];
    let mut columns = vec![Align::Right; published.shares.len() + 1];
    columns[0] = Align::Left;
    let mut lines = vec![String::new()];
    lines.extend(align(&columns, &rows));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_set_and_model() {
        let found = of_retrieval(PublishedSet::CocoCn, "taiyi-102m").unwrap();
        assert_eq!(found.shares[1], (5, 0.517));
        assert_eq!(
            of_classification(PublishedSet::Imagenet1kCn, "taiyi-326m-vit-h").unwrap().shares[0],
            (1, 0.5435)
        );
        for (error, parts) in [
            (
                of_retrieval(PublishedSet::Flickr30kCna, "taiyi-102m"),
                &["taiyi-102m on flickr30k-cna", "taiyi-326m, taiyi-102m-vit-l, taiyi-326m-vit-h"][..],
            ),
            (of_retrieval(PublishedSet::CocoCn, "demo"), &["demo on coco-cn", "taiyi-102m, "]),
            (
                of_retrieval(PublishedSet::Imagenet1kCn, "taiyi-102m"),
                &["eval classification --published imagenet1k-cn"],
            ),
            (of_classification(PublishedSet::CocoCn, "taiyi-102m"), &["eval retrieval --published coco-cn"]),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn numbers_are_percents_that_grow_with_k() {
        let rows = RETRIEVAL.iter().map(|row| &row.2[..]).chain(CLASSIFICATION.iter().map(|row| &row.2[..]));
        for row in rows {
            assert!(
                row.windows(2).all(|pair| pair[0] < pair[1]) && row[0] > 20.0 && row[row.len() - 1] < 100.0
            );
        }
        let known = taiyi_model::known_models();
        for model in RETRIEVAL.iter().map(|row| row.1).chain(CLASSIFICATION.iter().map(|row| row.1)) {
            assert!(known.iter().any(|known| known.name == model), "{model}");
        }
    }
}
