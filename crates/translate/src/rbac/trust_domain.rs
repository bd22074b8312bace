//! Principals of the mesh's trust domain hold for its aliases too, and the other way round (security 4.9).

/// The domain that a principal may name whatever the mesh's own is.
const DEFAULT: &str = "cluster.local";

/// The values with every principal of the mesh repeated for each of its trust domains, its own first.
pub(super) fn expanded(values: &[String], domains: &[String]) -> Vec<String> {
    values.iter().flat_map(|value| copies(value, domains)).collect()
}

fn copies(value: &str, domains: &[String]) -> Vec<String> {
    let same = || vec![value.to_owned()];
    let Some((stated, rest)) = value.split_once('/') else { return same() };
    let is_bound = value.split('/').count() == 5 && stated != "*";
    if !is_bound || !(stated == DEFAULT || domains.iter().any(|domain| fits(stated, domain))) {
        return same();
    }
    let mut copies: Vec<String> = Vec::new();
    for domain in domains {
        let covers = stated.strip_prefix('*').is_some_and(|end| domain.ends_with(end));
        let copy = if covers { value.to_owned() } else { format!("{domain}/{rest}") };
        if !copies.contains(&copy) {
            copies.push(copy);
        }
    }
    // Never none: a field without values would hold back nobody.
    if copies.is_empty() { same() } else { copies }
}

/// Whether two names are the same; either may have a star at one end.
fn fits(a: &str, b: &str) -> bool {
    let matches = |pattern: &str, name: &str| {
        if let Some(end) = pattern.strip_prefix('*') {
            name.ends_with(end)
        } else if let Some(start) = pattern.strip_suffix('*') {
            name.starts_with(start)
        } else {
            pattern == name
        }
    };
    matches(a, b) || matches(b, a)
}

#[cfg(test)]
mod tests {
    use super::copies;

    fn of(value: &str) -> Vec<String> {
        copies(value, &["prime.test".to_owned(), "elder.test".to_owned()])
    }

    #[test]
    fn principals_of_the_mesh_hold_for_all_its_domains() {
        for domain in ["prime.test", "elder.test", "cluster.local", "prime*"] {
            let value = format!("{domain}/ns/a/sa/b");
            assert_eq!(of(&value), ["prime.test/ns/a/sa/b", "elder.test/ns/a/sa/b"], "{domain}");
        }
        assert_eq!(of("*.test/ns/a/sa/b"), ["*.test/ns/a/sa/b"]);
    }

    #[test]
    fn a_principal_never_vanishes() {
        assert_eq!(copies("cluster.local/ns/a/sa/b", &[]), ["cluster.local/ns/a/sa/b"]);
    }

    #[test]
    fn other_principals_stay() {
        for value in ["stranger.test/ns/a/sa/b", "*/ns/a/sa/b", "*", "prime.test/ns/*", ""] {
            assert_eq!(of(value), [value]);
        }
    }
}
