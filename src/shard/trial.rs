//! A blocked command with keys on several shards, as its home shard sees it: told that a key is ready, it looks at all of
//! them, as a transaction, and goes on waiting if it finds nothing.

use super::blocked::End;

/// Where such a command stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trials {
    /// Whether it looks now.
    is_trying: bool,
    /// Whether it is to look once more after that.
    must_retry: bool,
    /// How it ends after that, if it finds nothing.
    end: Option<End>,
}

/// What to do when it has looked and found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It waits.
    Wait,
    /// It looks again.
    Look,
    /// It ends.
    End(End),
}

impl Trials {
    /// A key is ready. Says whether to look now, which then is under way.
    pub fn begin(&mut self) -> bool {
        if self.is_trying {
            self.must_retry = true;
            return false;
        }
        self.is_trying = true;
        true
    }

    /// It found nothing.
    pub fn found_nothing(&mut self) -> Next {
        self.is_trying = false;
        match self.end {
            Some(end) => Next::End(end),
            None if std::mem::take(&mut self.must_retry) => Next::Look,
            None => Next::Wait,
        }
    }

    /// It is to end. Says whether it does so now; if it looks, it may still find something.
    pub fn end(&mut self, end: End) -> bool {
        self.end = self.is_trying.then_some(end);
        !self.is_trying
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trial_at_a_time() {
        let mut trials = Trials::default();
        assert!(trials.begin());
        assert!(!trials.begin(), "it looks already");
        assert_eq!(trials.found_nothing(), Next::Look, "a key was ready meanwhile");
        assert!(trials.begin());
        assert_eq!(trials.found_nothing(), Next::Wait);
        assert!(trials.end(End::Timeout));
    }

    #[test]
    fn what_looks_ends_when_it_has_found_nothing() {
        let mut trials = Trials::default();
        trials.begin();
        trials.begin();
        assert!(!trials.end(End::Error));
        assert_eq!(trials.found_nothing(), Next::End(End::Error));
    }
}
