//! The operations that put something into a list or take something out of it (spec 6.2). Without an anchor, before
//! means first and after means last, and replacing or removing means nothing.

use proto::istio::networking::envoy_filter::patch::Operation;

/// Applies one operation. `anchored` says whether the patch names a member at all, `hits` which one; insertion and
/// replacement act on the first that is hit, removal on all.
pub(super) fn apply<T>(
    list: &mut Vec<T>,
    operation: Operation,
    anchored: bool,
    hits: impl Fn(&T) -> bool,
    value: impl FnOnce() -> T,
) {
    let at = |list: &[T]| list.iter().position(&hits);
    match operation {
        Operation::Add => list.push(value()),
        Operation::InsertFirst => list.insert(0, value()),
        Operation::InsertBefore if !anchored => list.insert(0, value()),
        Operation::InsertAfter if !anchored => list.push(value()),
        Operation::InsertBefore => {
            if let Some(at) = at(list) {
                list.insert(at, value());
            }
        }
        Operation::InsertAfter => {
            if let Some(at) = at(list) {
                list.insert(at + 1, value());
            }
        }
        Operation::Replace if anchored => {
            if let Some(at) = at(list) {
                list[at] = value();
            }
        }
        Operation::Remove if anchored => list.retain(|member| !hits(member)),
        Operation::Replace | Operation::Remove | Operation::Merge | Operation::Invalid => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(operation: Operation, anchor: Option<&str>) -> String {
        let mut list = vec!["a", "b", "b"];
        apply(&mut list, operation, anchor.is_some(), |member| anchor.is_none_or(|a| a == *member), || "x");
        list.concat()
    }

    #[test]
    fn only_the_first_hit_is_an_anchor_but_all_are_removed() {
        assert_eq!(after(Operation::InsertBefore, Some("b")), "axbb");
        assert_eq!(after(Operation::InsertAfter, Some("b")), "abxb");
        assert_eq!(after(Operation::Replace, Some("b")), "axb");
        assert_eq!(after(Operation::Remove, Some("b")), "a");
        assert_eq!(after(Operation::InsertAfter, Some("c")), "abb");
    }

    #[test]
    fn without_an_anchor_insertion_is_at_the_ends_and_nothing_is_taken_out() {
        assert_eq!(after(Operation::InsertBefore, None), "xabb");
        assert_eq!(after(Operation::InsertAfter, None), "abbx");
        assert_eq!(after(Operation::Replace, None), "abb");
        assert_eq!(after(Operation::Remove, None), "abb");
    }
}
