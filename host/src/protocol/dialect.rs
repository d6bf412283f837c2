//! The revisions, and what each of them has: one table, decided once.

use super::Method;
use super::method::{STATEFUL_METHODS, STATELESS_METHODS};

/// A family of revisions that share how a conversation works.
#[derive(Debug)]
pub struct Era {
    /// For logs.
    pub name: &'static str,
    /// The methods that clients may call.
    pub methods: &'static [(&'static str, Method)],
}

/// Revisions with `initialize` and a session: 2024-11-05 to 2025-11-25.
pub static STATEFUL_ERA: Era = Era { name: "stateful", methods: STATEFUL_METHODS };

/// Revisions in which every request stands for itself: 2026-07-28.
static STATELESS_ERA: Era = Era { name: "stateless", methods: STATELESS_METHODS };

impl Era {
    /// The name of a method; nothing where the era lacks it.
    #[must_use]
    pub fn name_of(&self, method: Method) -> &'static str {
        self.methods.iter().find(|(_, known)| *known == method).map_or("", |(name, _)| name)
    }

    /// The method of a name.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<Method> {
        self.methods.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }
}

/// What happens to a batch (2025-era J-06).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batches {
    /// The revision has them.
    Accepted,
    /// The revision is silent; accepted where one connection is one session.
    Tolerated,
    /// The revision forbids them.
    Refused,
}

/// One revision as this host speaks it.
#[derive(Debug)]
pub struct Dialect {
    /// As it is written in messages.
    pub revision: &'static str,
    /// Its place among all dialects, for tables by dialect.
    pub index: usize,
    /// Its family.
    pub era: &'static Era,
    /// What it has.
    pub features: Features,
}

/// How a revision has tasks, if it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskForm {
    /// It has none.
    None,
    /// In its core: the client says which request becomes one (2025-era K).
    Core,
    /// As an extension: the server says so, to clients that declare it (2026-07-28 K).
    Extension,
}

/// What a revision has. A feature that it lacks is left out of every answer, or degraded.
#[derive(Debug, Clone, Copy)]
pub struct Features {
    /// Arrays of messages.
    pub batches: Batches,
    /// Tool annotations, audio, the message of progress, the capability `completions`.
    pub second_wave: bool,
    /// Titles, structured results, resource links, forms, `_meta` on items, `context` of completions.
    pub third_wave: bool,
    /// Icons, URL elicitation, rich forms, sampling with tools, the server's description.
    pub fourth_wave: bool,
    /// Any JSON as structured result; results that say their type, how long they keep and who gave them; own codes.
    pub fifth_wave: bool,
    /// Work that outlives its request.
    pub tasks: TaskForm,
    /// An empty event first on every stream, and `retry` before a planned end (2025-era H-09, H-10).
    pub primed_streams: bool,
}

const OLDEST: Features = Features {
    batches: Batches::Tolerated,
    second_wave: false,
    third_wave: false,
    fourth_wave: false,
    fifth_wave: false,
    tasks: TaskForm::None,
    primed_streams: false,
};

/// How many of the dialects are stateful; they come first.
const STATEFUL_COUNT: usize = 4;

/// All revisions, oldest first.
static ALL: [Dialect; STATEFUL_COUNT + 1] = [
    Dialect { revision: "2024-11-05", index: 0, era: &STATEFUL_ERA, features: OLDEST },
    Dialect {
        revision: "2025-03-26",
        index: 1,
        era: &STATEFUL_ERA,
        features: Features { batches: Batches::Accepted, second_wave: true, ..OLDEST },
    },
    Dialect {
        revision: "2025-06-18",
        index: 2,
        era: &STATEFUL_ERA,
        features: Features { batches: Batches::Refused, second_wave: true, third_wave: true, ..OLDEST },
    },
    Dialect {
        revision: "2025-11-25",
        index: 3,
        era: &STATEFUL_ERA,
        features: Features {
            batches: Batches::Refused,
            second_wave: true,
            third_wave: true,
            fourth_wave: true,
            tasks: TaskForm::Core,
            primed_streams: true,
            ..OLDEST
        },
    },
    Dialect {
        revision: "2026-07-28",
        index: 4,
        era: &STATELESS_ERA,
        features: Features {
            batches: Batches::Refused,
            second_wave: true,
            third_wave: true,
            fourth_wave: true,
            fifth_wave: true,
            tasks: TaskForm::Extension,
            primed_streams: false,
        },
    },
];

impl Dialect {
    /// How many dialects there are.
    pub const COUNT: usize = ALL.len();

    /// The stateful dialect of a revision.
    #[must_use]
    pub fn stateful(revision: &str) -> Option<&'static Self> {
        ALL[..STATEFUL_COUNT].iter().find(|dialect| dialect.revision == revision)
    }

    /// The stateless dialect of a revision.
    #[must_use]
    pub fn stateless(revision: &str) -> Option<&'static Self> {
        Self::all_stateless().iter().find(|dialect| dialect.revision == revision)
    }

    /// The stateless dialects, oldest first.
    #[must_use]
    pub fn all_stateless() -> &'static [Self] {
        &ALL[STATEFUL_COUNT..]
    }

    /// The newest dialect: it shows everything there is, and its faults are told where no dialect is known yet.
    #[must_use]
    pub fn newest_stateless() -> &'static Self {
        &ALL[ALL.len() - 1]
    }

    /// The dialect of a session whose client asked for `requested`: that one, or else the newest (2025-era L-03, L-04).
    #[must_use]
    pub fn negotiate(requested: &str) -> &'static Self {
        Self::stateful(requested).unwrap_or(&ALL[STATEFUL_COUNT - 1])
    }

    /// The dialect of a revision, of whatever era.
    #[must_use]
    pub fn of(revision: &str) -> Option<&'static Self> {
        ALL.iter().find(|dialect| dialect.revision == revision)
    }

    /// The method of a name; nothing where the revision lacks it.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<Method> {
        self.era.method(name).filter(|method| self.features.tasks != TaskForm::None || !method.is_of_tasks())
    }

    /// All dialects, oldest first.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_revision_is_answered_with_itself_and_others_with_the_newest() {
        for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            assert_eq!(Dialect::negotiate(revision).revision, revision);
        }
        for revision in ["2026-07-28", "1999-01-01", ""] {
            assert_eq!(Dialect::negotiate(revision).revision, "2025-11-25", "{revision}");
        }
    }

    #[test]
    fn the_index_is_the_place() {
        for (place, dialect) in Dialect::all().iter().enumerate() {
            assert_eq!(dialect.index, place);
        }
    }

    #[test]
    fn the_eras_do_not_share_a_revision() {
        assert_eq!(Dialect::stateless("2026-07-28").map(|it| it.era.name), Some("stateless"));
        assert!(Dialect::stateful("2026-07-28").is_none());
        assert!(Dialect::stateless("2025-11-25").is_none());
        assert_eq!(Dialect::newest_stateless().revision, "2026-07-28");
    }
}
