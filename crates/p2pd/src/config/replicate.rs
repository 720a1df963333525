//! `[replicate]`: what is kept for others beyond what this machine installs.

use std::time::Duration;

use toml::de::DeValue;

use super::reader::{Reader, Section};
use super::value;

/// Which repositories are mirrored for others, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replicate {
    /// Empty: off.
    pub(crate) repositories: Vec<String>,
    /// In bytes on the disk.
    pub(crate) budget: u64,
    pub(crate) order: Order,
    /// Over which time the fetches of what is missing are spread.
    pub(crate) spread: Duration,
}

impl Default for Replicate {
    fn default() -> Self {
        Self { repositories: Vec::new(), budget: 0, order: Order::Wanted, spread: Duration::from_hours(24) }
    }
}

/// Which packages come first where the budget does not hold all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Wanted,
    Rare,
    Newest,
    All,
}

/// A month: what is older than that has mostly been replaced.
const MAX_SPREAD: Duration = Duration::from_hours(30 * 24);

impl Replicate {
    pub(super) fn read<'a>(&mut self, reader: &mut Reader<'a>, mut section: Section<'a>) {
        reader.take_list(&mut section, "repositories", &mut self.repositories, value::text);
        reader.take(&mut section, "budget", &mut self.budget, value::size);
        reader.take(&mut section, "order", &mut self.order, order);
        reader.take(&mut section, "spread", &mut self.spread, value::duration_up_to(MAX_SPREAD));
        reader.finish_section(section);
    }
}

fn order(value: &DeValue<'_>) -> Result<Order, String> {
    match value::text(value)?.as_str() {
        "wanted" => Ok(Order::Wanted),
        "rare" => Ok(Order::Rare),
        "newest" => Ok(Order::Newest),
        "all" => Ok(Order::All),
        other => Err(format!("{other:?} is none of \"wanted\", \"rare\", \"newest\" and \"all\"")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Settings;
    use super::*;

    #[test]
    fn it_is_off_unless_repositories_are_named() {
        let settings = Settings::read("", Path::new("p2pd.toml")).expect("valid");
        assert_eq!(settings.replicate, Replicate::default());
        assert!(settings.replicate.repositories.is_empty());
        assert_eq!(settings.replicate.spread, Duration::from_hours(24));
    }

    #[test]
    fn its_values_and_mistakes() {
        let read = |text: &str| Settings::read(text, Path::new("p2pd.toml"));
        let good = "[replicate]\nrepositories = [\"core\"]\nbudget = \"20GiB\"\norder = \"newest\"\n\
                    spread = \"12h\"\n";
        let expected = Replicate {
            repositories: vec!["core".into()],
            budget: 20 << 30,
            order: Order::Newest,
            spread: Duration::from_hours(12),
        };
        assert_eq!(read(good).expect("valid").replicate, expected);
        let bad = read("[replicate]\nrepositories = [1]\nbudget = \"much\"\norder = \"best\"\n");
        assert_eq!(
            bad.expect_err("three problems").to_string(),
            "p2pd.toml:2:17: replicate.repositories: a string is needed, not a integer\n\
             p2pd.toml:3:10: replicate.budget: \"much\" is not a size, for example \"10GiB\"\n\
             p2pd.toml:4:9: replicate.order: \"best\" is none of \"wanted\", \"rare\", \"newest\" and \"all\""
        );
    }
}
