//! The nearest of some known words.

/// The candidate that was probably meant; `None` when none is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.75;
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let near = strsim::jaro_winkler(&word, &candidate.to_lowercase());
            (near, candidate)
        })
        .filter(|(near, _)| *near >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let keys = ["execute", "environment", "setup"];
        assert_eq!(nearest("exceute", keys), Some("execute"));
        assert_eq!(nearest("Enviroment", keys), Some("environment"));
        assert_eq!(nearest("banana", keys), None);
    }
}
