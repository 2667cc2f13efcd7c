//! Pattern match for keys, channels and directive names, as the KEYS command defines it.
//! File-system globbing for `include` is not here, it only uses this for one path component.

/// A pattern with more `*` groups than this (not counting a final one) matches nothing.
/// Redis has the same bound, and clients can see it.
const STAR_GROUPS_MAX: usize = 1000;

/// Whether `text` as a whole matches `pattern`.
///
/// - `*` any bytes, also none, but an empty text matches only the empty pattern, as in Redis
/// - `?` any one byte
/// - `[abc]`, `[a-z]`, `[^a]` one byte of (or outside) a class; an unclosed class ends with the pattern
/// - `\x` the byte `x` itself, also inside a class
///
/// `ignore_case` folds ASCII letters. Cost: at most the product of both lengths, whatever the pattern,
/// because only the latest `*` is ever tried again: when a later group fails for every start, moving an
/// earlier group further right cannot help.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut pattern_at, mut text_at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    let mut star_groups = 0;
    while text_at < text.len() {
        if pattern.get(pattern_at) == Some(&b'*') {
            pattern_at = skip_stars(pattern, pattern_at);
            if pattern_at == pattern.len() {
                return true;
            }
            star_groups += 1;
            if star_groups > STAR_GROUPS_MAX {
                return false;
            }
            retry = Some((pattern_at, text_at));
            continue;
        }
        if let Some(next) = match_one(pattern, pattern_at, text[text_at], ignore_case) {
            pattern_at = next;
            text_at += 1;
            continue;
        }
        let Some((group_at, started_at)) = retry else { return false };
        pattern_at = group_at;
        text_at = started_at + 1;
        retry = Some((group_at, text_at));
    }
    skip_stars(pattern, pattern_at) == pattern.len()
}

/// The first index from `at` on that is not a `*`.
fn skip_stars(pattern: &[u8], at: usize) -> usize {
    at + pattern[at..].iter().take_while(|&&byte| byte == b'*').count()
}

/// Matches the item at `at`, which is no `*`, with one byte; answers where the next item starts.
fn match_one(pattern: &[u8], at: usize, byte: u8, ignore_case: bool) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => match_class(pattern, at + 1, byte, ignore_case),
        b'\\' if at + 1 < pattern.len() => same(pattern[at + 1], byte, ignore_case).then_some(at + 2),
        literal => same(literal, byte, ignore_case).then_some(at + 1),
    }
}

/// Matches the class whose first byte after `[` is at `at`.
fn match_class(pattern: &[u8], mut at: usize, byte: u8, ignore_case: bool) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    while at < pattern.len() {
        let rest = &pattern[at..];
        match *rest {
            [b'\\', escaped, ..] => {
                // Redis compares an escaped byte exactly even when case is ignored.
                found |= escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [low, b'-', high, ..] => {
                found |= in_range(low, high, byte, ignore_case);
                at += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, ignore_case);
                at += 1;
            }
            [] => break,
        }
    }
    (found != negated).then_some(at)
}

/// Ends in either order. Bytes compare as signed ones, as C's `char` does where Redis usually runs.
fn in_range(low: u8, high: u8, byte: u8, ignore_case: bool) -> bool {
    let (low, high) = if low as i8 > high as i8 { (high, low) } else { (low, high) };
    let fold = |byte: u8| if ignore_case { byte.to_ascii_lowercase() as i8 } else { byte as i8 };
    (fold(low)..=fold(high)).contains(&fold(byte))
}

fn same(left: u8, right: u8, ignore_case: bool) -> bool {
    if ignore_case { left.eq_ignore_ascii_case(&right) } else { left == right }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn literals_and_stars() {
        assert!(check("", ""));
        assert!(!check("", "a"));
        assert!(!check("*", ""), "an empty text matches only the empty pattern");
        assert!(check("*", "anything"));
        assert!(check("a*", "a"));
        assert!(check("a***", "a"));
        assert!(check("*a", "bba"));
        assert!(check("a*b*c", "a1b2b3c"));
        assert!(!check("a*b*c", "a1b2b3"));
        assert!(check("h?llo", "hello"));
        assert!(!check("h?llo", "hllo"));
        assert!(!check("ab", "abc"));
    }

    #[test]
    fn classes() {
        assert!(check("h[ae]llo", "hallo"));
        assert!(!check("h[ae]llo", "hillo"));
        assert!(check("h[^e]llo", "hallo"));
        assert!(!check("h[^e]llo", "hello"));
        assert!(check("h[a-c]llo", "hbllo"));
        assert!(check("h[c-a]llo", "hbllo"), "a reversed range counts too");
        assert!(check("[\\]]", "]"));
        assert!(check("[abc", "c"), "an unclosed class ends with the pattern");
        assert!(check("[^", "x"));
        assert!(!check("[", "["));
        assert!(!check("[]a", "a"), "an empty class matches nothing");
        assert!(check("[a-]", "a"));
    }

    #[test]
    fn escapes() {
        assert!(check("a\\*b", "a*b"));
        assert!(!check("a\\*b", "axb"));
        assert!(check("a\\", "a\\"), "a backslash at the end is itself");
        assert!(check("\\?", "?"));
    }

    #[test]
    fn case() {
        assert!(matches(b"MaxMemory*", b"maxmemory-policy", true));
        assert!(matches(b"[A-C]", b"b", true));
        assert!(matches(b"[x]", b"X", true));
        assert!(!matches(b"a", b"A", false));
    }

    #[test]
    fn abusive_patterns_are_cheap() {
        let text = vec![b'a'; 50_000];
        let mut pattern = b"a*".repeat(900);
        pattern.push(b'b');
        assert!(!matches(&pattern, &text, false));
        assert!(!matches(&b"*?".repeat(50_000), &text, false), "too many groups");
        assert!(matches(&b"*?".repeat(1000), &text, false));
    }

    /// The textbook definition, exponential, for short inputs.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|skip| reference(&pattern[1..], &text[skip..])),
            Some(_) => text.first().is_some_and(|&byte| {
                match_one(pattern, 0, byte, false).is_some_and(|next| reference(&pattern[next..], &text[1..]))
            }),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab*?\\[-]{1,8}") {
            prop_assert_eq!(check(&pattern, &text), reference(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn never_panics(pattern in proptest::collection::vec(any::<u8>(), 0..40),
                        text in proptest::collection::vec(any::<u8>(), 0..40), fold in any::<bool>()) {
            matches(&pattern, &text, fold);
        }
    }
}
