use super::*;

fn parsed(command_line: &str) -> CommandLine {
    CommandLine::parse(format!("{}\0", command_line.replace(' ', "\0")).as_bytes()).unwrap()
}

/// What is run for a command line, with blanks between the words.
fn run(command_line: &str) -> Option<String> {
    match parsed(command_line).listing() {
        Listing::Run(arguments) => Some(arguments.join(OsStr::new(" ")).into_string().unwrap()),
        Listing::Known(_) | Listing::None => None,
    }
}

fn known(command_line: &str) -> Option<Vec<String>> {
    match parsed(command_line).listing() {
        Listing::Known(urls) => Some(urls),
        Listing::Run(_) | Listing::None => None,
    }
}

#[test]
fn a_sync_operation_is_printed_by_the_same_options_without_refreshing() {
    const PRINT: &str = "--print --print-format %l --";
    for (command_line, options, targets) in [
        ("pacman -S a b", "-S", " a b"),
        ("pacman -Sy a", "-S", " a"),
        ("pacman -Syu", "-S -u", ""),
        ("pacman -Syyuu", "-S -u -u", ""),
        ("pacman -Syuw", "-S -u -w", ""),
        ("pacman -Suy a", "-S -u", " a"),
        ("pacman -S -y -u", "-S -u", ""),
        ("pacman -yS a", "-S", " a"),
        ("pacman -Sw core/a", "-S -w", " core/a"),
        ("pacman a -S b", "-S", " a b"),
        ("pacman --sync --refresh --sysupgrade", "--sync --sysupgrade", ""),
        ("pacman --sync --refr --refr --sysup", "--sync --sysup", ""),
        ("pacman --syn --needed --asdeps a", "--syn --needed --asdeps", " a"),
        ("pacman -S --config etc/pacman.conf a", "-S --config=etc/pacman.conf", " a"),
        ("pacman -S --config=etc/pacman.conf a", "-S --config=etc/pacman.conf", " a"),
        ("pacman -Su --ignore a,b --ignoregroup c", "-S -u --ignore=a,b --ignoregroup=c", ""),
        ("pacman -Su --ignoreg c", "-S -u --ignoreg=c", ""),
        ("pacman -Su --overwrite *", "-S -u --overwrite=*", ""),
        ("pacman -Su --overw /usr/* --ask 4", "-S -u --overw=/usr/* --ask=4", ""),
        ("pacman -Su --assume-installed a=1 --dbp db", "-S -u --assume-installed=a=1 --dbp=db", ""),
        ("pacman -Su --cachedir c --hookdir h --gpgdir g", "-S -u --cachedir=c --hookdir=h --gpgdir=g", ""),
        ("pacman -Su --logfile l --arch x86_64 --color never", "-S -u --logfile=l --arch=x86_64 --color=never", ""),
        ("pacman -r y -S a", "-ry -S", " a"),
        ("pacman -Sby a", "-S -by", " a"),
        ("pacman -Syb y a", "-S -by", " a"),
        ("pacman -b -y -S a", "-b-y -S", " a"),
        ("pacman --root --refresh -S a", "--root=--refresh -S", " a"),
        ("pacman -Sy -- -y a --refresh", "-S", " -y a --refresh"),
        ("pacman -Sddy --noconfirm --confirm a", "-S -d -d --noconfirm --confirm", " a"),
        ("pacman -Syu --debug", "-S -u --debug", ""),
        ("pacman -Syuv --debug=2", "-S -u -v --debug=2", ""),
        ("pacman -Su --noscriptlet", "-S -u", ""),
        ("pacman -Su --dbonly --noscr", "-S -u", ""),
        ("pacman -Su --sysroot /mnt", "-S -u", ""),
        ("pacman -Su --sysroot=/mnt --noprogressbar", "-S -u --noprogressbar", ""),
        (
            "pacman -Syu --disable-sandbox --disable-download-timeout",
            "-S -u --disable-sandbox --disable-download-timeout",
            "",
        ),
        ("pacman -Syu --an-option-of-tomorrow", "-S -u --an-option-of-tomorrow", ""),
        ("/usr/bin/pacman-static -Syu", "-S -u", ""),
    ] {
        assert_eq!(
            run(command_line).as_deref(),
            Some(format!("{options} {PRINT}{targets}").as_str()),
            "{command_line}"
        );
    }
}

#[test]
fn what_downloads_no_package_and_what_nobody_can_know_is_not_printed() {
    for command_line in [
        "pacman",
        "pacman -S",
        "pacman -Sy",
        "pacman -Syy",
        "pacman --sync --refresh",
        "pacman -Sy --config a",
        "pacman -Ss a",
        "pacman -Syi a",
        "pacman -Syl core",
        "pacman -Sg base",
        "pacman -Sc",
        "pacman -Scc",
        "pacman -Sp a",
        "pacman -Syup",
        "pacman -Su --print",
        "pacman -S --print-format %n a",
        "pacman -S --print-f=%n a",
        "pacman --sync --search a",
        "pacman --sync --cle",
        "pacman -S -",
        "pacman -Syu a - b",
        "pacman -S -- -",
        "pacman -U - http://m/a",
        "pacman -Fy",
        "pacman -F a",
        "pacman -Qu",
        "pacman -Rs a",
        "pacman -D --asdeps a",
        "pacman -T a",
    ] {
        assert_eq!(parsed(command_line).listing(), Listing::None, "{command_line}");
    }
    assert_eq!(CommandLine::parse(b""), None);
    assert_eq!(CommandLine::parse(b"\0"), None);
}

#[test]
fn the_urls_of_an_upgrade_are_on_its_command_line() {
    assert_eq!(
        known("pacman -U http://m/a.pkg.tar.zst ./b.pkg.tar.zst https://m/c.pkg.tar.zst file:///d ftp://m/e").unwrap(),
        ["http://m/a.pkg.tar.zst", "https://m/c.pkg.tar.zst"]
    );
    assert_eq!(known("pacman --upgrade --config http://x -- http://m/a").unwrap(), ["http://m/a"]);
    assert_eq!(known("pacman -Up http://m/a").unwrap(), ["http://m/a"], "it downloads nevertheless");
    assert_eq!(known("pacman -U ./b.pkg.tar.zst").unwrap(), [""; 0]);
}

#[test]
fn every_refresh_counts_and_nothing_else() {
    for (command_line, count) in [
        ("pacman -Sy", 1),
        ("pacman -Syyu", 2),
        ("pacman -S -y -y", 2),
        ("pacman -S --refresh --refresh --sysupgrade", 2),
        ("pacman -S --refr -y", 2),
        ("pacman -Fyy", 2),
        ("pacman -S yay --needed", 0),
        ("pacman -S -- -yy", 0),
        ("pacman -Sb yy a", 0),
        ("pacman -Sy --config -yy", 1),
        ("/bin/sh /usr/local/bin/pacman -Syy", 2),
    ] {
        assert_eq!(parsed(command_line).refreshes(), count, "{command_line}");
    }
}

#[test]
fn pacman_is_known_by_its_name() {
    for (program, is_pacman) in [
        ("pacman", true),
        ("/usr/bin/pacman", true),
        ("./pacman", true),
        ("/opt/pacman-static", true),
        ("pacman-6.0.2", true),
        ("yay", false),
        ("/pacman/sh", false),
        ("/usr/lib/packagekitd", false),
        ("/", false),
    ] {
        assert_eq!(parsed(program).is_pacman(), is_pacman, "{program}");
    }
}

#[test]
fn words_that_are_no_text_and_empty_words_are_passed_on() {
    let command_line = CommandLine::parse(b"pacman\0-S\0--config\0\xff\0\0\xfe\0").unwrap();
    let Listing::Run(arguments) = command_line.listing() else { panic!("{command_line:?}") };
    let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    let expected: [&[u8]; 8] = [b"-S", b"--config=\xff", b"--print", b"--print-format", b"%l", b"--", b"", b"\xfe"];
    assert_eq!(arguments, expected);
    assert_eq!(parsed("pacman -S -b").options.len(), 2, "a value that is missing");
    assert_eq!(parsed("pacman -S --config").options.len(), 2, "a value that is missing");
}

#[test]
fn a_list_holds_what_the_daemon_can_fetch_and_no_more_than_a_request_may() {
    let listed = |output: &str| urls(output.lines());
    assert_eq!(
        listed("Root      : /\nhttp://m/a:1+2.pkg.tar.zst\nfile:///cache/b\nhttps://m/c\nhttp://m/\"d\nhttp://m/\te\n"),
        ["http://m/a:1+2.pkg.tar.zst", "https://m/c"]
    );
    assert_eq!(listed(&"http://m/a\n".repeat(MAX_TRANSACTION_FILES + 1)).len(), MAX_TRANSACTION_FILES);
    let long = format!("http://m/{}\n", "a".repeat(1000));
    let all: usize = listed(&long.repeat(MAX_TRANSACTION_FILES)).iter().map(|url| url.len() + AROUND_URL).sum();
    assert!((MAX_TRANSACTION_BYTES * 9 / 10..MAX_TRANSACTION_BYTES).contains(&all), "{all}");
}
