//! The command line that was given, to be shown again with a change or two.

#![forbid(unsafe_code)]

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory as _};

/// A command line that a shell takes, word by word. What came from the environment is
/// not in it.
#[derive(Clone, Debug)]
pub struct Line {
    program: Vec<OsString>,
    /// The argument's identifier, its option if it has one, its values.
    words: Vec<(String, Option<String>, Vec<OsString>)>,
}

impl Line {
    /// The line that this process was started with.
    pub fn given() -> Line {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        Line::of(&arguments).expect("a line that was understood before")
    }

    fn of(arguments: &[OsString]) -> Option<Line> {
        let mut command = crate::Arguments::command();
        let mut matches = &command.try_get_matches_from_mut(arguments).ok()?;
        let mut program = vec![arguments[0].clone()];
        let mut command = &command;
        while let Some((name, inner)) = matches.subcommand() {
            program.push(name.into());
            (command, matches) = (command.find_subcommand(name)?, inner);
        }
        let mut words = Vec::new();
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let option = argument.get_long().map(|name| format!("--{name}"));
            let times = match argument.get_action() {
                ArgAction::SetTrue => 1,
                ArgAction::Count => matches.get_count(id),
                _ => {
                    let values = matches.get_raw(id).into_iter().flatten().map(OsString::from).collect();
                    words.push((id.to_owned(), option, values));
                    continue;
                }
            };
            (0..times).for_each(|_| words.push((id.to_owned(), option.clone(), Vec::new())));
        }
        Some(Line { program, words })
    }

    /// Without an argument.
    pub fn without(mut self, id: &str) -> Line {
        self.words.retain(|word| word.0 != id);
        self
    }

    /// With another value for an option, or with the option if it was not there.
    pub fn with(self, id: &str, value: impl Into<OsString>) -> Line {
        let mut line = self.without(id);
        line.words.push((id.to_owned(), Some(format!("--{id}")), vec![value.into()]));
        line
    }

    /// With another input.
    pub fn with_input(self, value: impl Into<OsString>) -> Line {
        let mut line = self.without("input");
        line.words.insert(0, ("input".into(), None, vec![value.into()]));
        line
    }

    /// As a shell takes it. A password in a URL is left out.
    pub fn to_text(&self) -> String {
        let (names, values): (Vec<_>, Vec<_>) =
            self.words.iter().partition(|(_, option, _)| option.is_none());
        let mut words: Vec<String> =
            self.program.iter().map(|word| quoted(&word.to_string_lossy())).collect();
        for (_, option, values) in names.into_iter().chain(values) {
            for value in values {
                let value = without_password(&value.to_string_lossy());
                match option {
                    // A value may begin with a dash.
                    Some(option) if value.starts_with('-') => {
                        words.push(quoted(&format!("{option}={value}")))
                    }
                    Some(option) => words.extend([option.clone(), quoted(&value)]),
                    None if value.starts_with('-') && value != "-" => {
                        words.push(quoted(&format!("./{value}")))
                    }
                    None => words.push(quoted(&value)),
                }
            }
            if values.is_empty() {
                words.extend(option.clone());
            }
        }
        words.join(" ")
    }
}

/// A word that a shell takes as it is.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// `scheme://user:password@host` with `...` for the password.
fn without_password(text: &str) -> String {
    let parts = text.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find('/').unwrap_or(rest.len());
        let (login, host) = rest[..end].rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:...@{host}{}", &rest[end..]))
    });
    parts.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let arguments: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        Line::of(&arguments).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn a_line_comes_back_as_it_was_meant() {
        #[rustfmt::skip]
        let table = [
            ("imgroup bulk delete rows.csv --sdkappid 1", "imgroup bulk delete rows.csv --sdkappid 1"),
            ("./imgroup bulk delete --yes --sdkappid=1 -vv my$rows", "./imgroup bulk delete 'my$rows' --yes --sdkappid 1 --verbose --verbose"),
            ("imgroup bulk export - --journal j --sdkappid 1 -q", "imgroup bulk export - --journal j --quiet --sdkappid 1"),
            ("imgroup bulk export --sdkappid 1 --max-failures 5% -- -x", "imgroup bulk export ./-x --max-failures 5% --sdkappid 1"),
            ("imgroup bulk export a --sdkappid 1 --endpoint https://me:secret@host/", "imgroup bulk export a --sdkappid 1 --endpoint https://me:...@host/"),
        ];
        for (given, expected) in table {
            assert_eq!(line(given).to_text(), expected, "{given}");
        }
    }

    #[test]
    fn a_line_with_a_change() {
        let line = line("imgroup bulk delete rows.csv --sdkappid 1 --journal j --failed f");
        assert_eq!(
            line.clone().without("input").with("journal", "it's").to_text(),
            "imgroup bulk delete --failed f --sdkappid 1 --journal 'it'\\''s'"
        );
        assert_eq!(
            line.without("journal").with_input("f").with("failed", "f-2").to_text(),
            "imgroup bulk delete f --sdkappid 1 --failed f-2"
        );
    }
}
