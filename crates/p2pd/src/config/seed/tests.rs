use std::path::Path;

use super::super::Settings;
use super::*;

fn read(text: &str) -> Result<Seed, String> {
    Settings::read(text, Path::new("p2pd.toml")).map(|settings| settings.seed).map_err(|problems| problems.to_string())
}

fn problem_of(text: &str) -> String {
    read(text).expect_err(text)
}

const RULE: &str = "[[seed.schedule]]\nfrom = \"08:00\"\nto = \"18:00\"\nupload_limit = \"0\"\n";

#[test]
fn a_schedule_is_read_in_its_order() {
    let text = "[seed]\nmonthly_cap = \"100GiB\"\nupload_slots = 4\nold_versions = \"public\"\nexclude = [\"linux-firmware*\", \"extra/*\"]\n\
                [[seed.schedule]]\nfrom = \"08:00\"\nto = \"18:00\"\ndays = [\"mon\", \"fri\"]\nupload_limit = \"200KiB/s\"\n\
                [[seed.schedule]]\nfrom = \"22:00\"\nto = \"24:00\"\nupload_limit = \"0\"\n";
    let seed = read(text).expect("a valid file");
    assert_eq!(seed.monthly_cap.map(NonZeroU64::get), Some(100 << 30));
    assert_eq!((seed.upload_slots, seed.old_versions), (4, OldVersions::Public));
    assert!(seed.exclude[0].matches("linux-firmware-whence"));
    let minutes = |rule: &ScheduleRule| (rule.from.minutes(), rule.to.minutes());
    assert_eq!(seed.schedule.iter().map(minutes).collect::<Vec<_>>(), [(480, 1080), (1320, 1440)]);
    assert_eq!(seed.schedule[0].days, [Weekday::Monday, Weekday::Friday]);
    assert_eq!(seed.schedule[0].upload_limit.map(NonZeroU64::get), Some(200 * 1024));
    assert_eq!((seed.schedule[1].days.len(), seed.schedule[1].upload_limit), (0, None));
}

#[test]
fn each_mistake_in_a_rule_has_its_own_place() {
    let text = "[seed]\n[[seed.schedule]]\nfrom = \"8 o'clock\"\nto = \"24:01\"\ndays = [\n  \"mon\",\n  \"someday\", 7]\nupload_limit = \"slow\"\nuntil = 1\n";
    assert_eq!(
        problem_of(text),
        "p2pd.toml:3:8: seed.schedule.from: \"8 o'clock\" is not a time of day, for example \"08:00\" or \"23:30\"\n\
         p2pd.toml:4:6: seed.schedule.to: \"24:01\" is not a time of day, for example \"08:00\" or \"23:30\"\n\
         p2pd.toml:7:3: seed.schedule.days: \"someday\" is not a day; the days are \"mon\" \"tue\" \"wed\" \"thu\" \"fri\" \"sat\" \"sun\"\n\
         p2pd.toml:7:14: seed.schedule.days: a string is needed, not a integer\n\
         p2pd.toml:8:16: seed.schedule.upload_limit: \"slow\" is not a rate, for example \"200KiB/s\"; \"0\" is no upload\n\
         p2pd.toml:9:1: unknown key \"until\" in [seed.schedule]"
    );
}

#[test]
fn what_a_rule_lacks_is_said_where_the_rule_begins() {
    assert_eq!(
        problem_of("[seed]\n\n[[seed.schedule]]\nfrom = \"08:00\"\n"),
        "p2pd.toml:3:1: seed.schedule.to: is missing\np2pd.toml:3:1: seed.schedule.upload_limit: is missing"
    );
}

#[test]
fn a_rule_of_no_length_is_refused_and_a_whole_day_is_none() {
    assert_eq!(
        problem_of(&RULE.replace("18:00", "08:00")),
        "p2pd.toml:3:6: seed.schedule.to: is the same time as from; a whole day is from = \"00:00\", to = \"24:00\""
    );
    assert!(problem_of(&RULE.replace("08:00", "24:00")).contains("2:8: seed.schedule.from: a day begins"));
    assert!(read(&RULE.replace("08:00", "00:00").replace("18:00", "24:00")).is_ok());
}

#[test]
fn a_schedule_has_at_most_32_rules() {
    assert_eq!(read(&RULE.repeat(32)).expect("as many as may be").schedule.len(), 32);
    let problem = problem_of(&RULE.repeat(33));
    assert_eq!(problem, "p2pd.toml:129:1: seed.schedule: at most 32 of [[seed.schedule]] are allowed");
}

#[test]
fn a_schedule_that_is_no_array_of_tables_is_refused() {
    assert_eq!(
        problem_of("[seed.schedule]\nfrom = \"08:00\"\n"),
        "p2pd.toml:1:1: seed.schedule: is written [[seed.schedule]], once for each rule"
    );
    assert!(problem_of("[seed]\nschedule = [3]").contains("2:13: seed.schedule: is written"));
}

#[test]
fn other_mistakes_in_seed_have_a_place_too() {
    let text = "[seed]\nexclude = [\"[a\", \"a/b/c\",\n\"\"]\nold_versions = \"none\"\nmonthly_cap = \"lots\"\nupload_slots = 0\n";
    assert_eq!(
        problem_of(text),
        "p2pd.toml:2:12: seed.exclude: \"[a\" is not a pattern: invalid range pattern (at character 1)\n\
         p2pd.toml:2:18: seed.exclude: \"a/b/c\" has more than one slash; a pattern is \"name\" or \"repository/name\"\n\
         p2pd.toml:3:1: seed.exclude: an empty pattern matches nothing\n\
         p2pd.toml:4:16: seed.old_versions: \"none\" is neither \"lan\" nor \"public\"\n\
         p2pd.toml:5:15: seed.monthly_cap: \"lots\" is not a size, for example \"100GiB\"; \"0\" is no cap\n\
         p2pd.toml:6:16: seed.upload_slots: a whole number from 1 to 1000 is needed"
    );
}
