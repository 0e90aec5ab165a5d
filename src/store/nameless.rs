//! Texts without the names and numbers of a person.

use serde_json::Value as Json;

use super::map::ID_FIELDS;
use crate::domain::PersonId;
use crate::ports::privacy::Person;

/// GitHub's own account for those who are gone, <https://github.com/ghost>: may do nothing anywhere.
pub(super) const GHOST_ID: i64 = 10_137;
/// JSON with another word in place of names, in its texts alone: keys and numbers are not names of anybody. `None` where
/// nothing changes.
pub(super) fn without_names(text: &str, person: &Person, word: &str) -> Option<String> {
    let Ok(mut value) = serde_json::from_str::<Json>(text) else {
        return person.traces.replaced_by(text, word);
    };
    (rename(&mut value, person, word) > 0).then(|| value.to_string())
}

/// Renames in all texts of a value, and says in how many.
fn rename(value: &mut Json, person: &Person, word: &str) -> usize {
    match value {
        Json::String(text) => {
            let new = person.traces.replaced_by(text, word);
            let any = new.is_some();
            if let Some(new) = new {
                *text = new;
            }
            usize::from(any)
        }
        Json::Array(all) => all.iter_mut().map(|one| rename(one, person, word)).sum(),
        Json::Object(all) => all.values_mut().map(|one| rename(one, person, word)).sum(),
        _ => 0,
    }
}

/// What a publication is about, without names: its first part says what kind of thing it is, the last one may be `new`.
pub(super) fn target_without(target: &str, person: &Person, word: &str) -> Option<String> {
    let parts: Vec<&str> = target.split('|').collect();
    let last = parts.len().saturating_sub(1);
    let mut any = false;
    let parts: Vec<String> = parts
        .into_iter()
        .enumerate()
        .map(|(at, part)| {
            let is_ours = at == 0 || (at == last && part == "new") || part == "herald";
            match person.traces.replaced_by(part, word) {
                Some(new) if !is_ours => {
                    any = true;
                    new
                }
                _ => part.to_owned(),
            }
        })
        .collect();
    any.then(|| parts.join("|"))
}

/// Whether GitHub's JSON has this number of a person in some field.
pub(super) fn has_id(text: &str, id: PersonId) -> bool {
    let number = format!("\":{}", id.0);
    text.match_indices(&number).any(|(at, found)| {
        let rest = text.get(at + found.len()..).unwrap_or_default();
        !rest.starts_with(|next: char| next.is_ascii_digit())
    })
}

/// The JSON with GitHub's account for those who are gone in the fields that had this person's number; `None` where there
/// are none.
pub(super) fn without_id(text: &str, id: PersonId) -> Option<String> {
    let mut new: Option<String> = None;
    for field in ID_FIELDS {
        let from = format!("\"{field}\":{}", id.0);
        let to = format!("\"{field}\":{GHOST_ID}");
        let current = new.as_deref().unwrap_or(text);
        let mut replaced = String::with_capacity(current.len());
        let mut rest = current;
        let mut found = false;
        while let Some((head, tail)) = rest.split_once(&from) {
            let goes_on = tail.starts_with(|next: char| next.is_ascii_digit());
            replaced.push_str(head);
            replaced.push_str(if goes_on { &from } else { &to });
            found |= !goes_on;
            rest = tail;
        }
        if found {
            replaced.push_str(rest);
            new = Some(replaced);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::without_id;
    use crate::domain::PersonId;

    #[test]
    fn numbers_of_people_go_from_the_fields_that_are_for_them() {
        let text = r#"{"number":7,"author":7,"sender":77,"nested":{"author":7}}"#;
        let without = without_id(text, PersonId(7)).unwrap();
        let expected = r#"{"number":7,"author":10137,"sender":77,"nested":{"author":10137}}"#;
        assert_eq!(without, expected);
        assert_eq!(without_id(text, PersonId(8)), None);
    }
}
