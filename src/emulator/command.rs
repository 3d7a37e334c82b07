//! The path table: every command the emulator knows, and what sets it apart.

#![forbid(unsafe_code)]

/// Which part of the service answers. The families differ in their envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `v4/sns`: answers carry `ErrorDisplay`.
    Relations,
    /// `v4/im_open_login_svc`: answers carry no `ErrorDisplay`.
    Accounts,
}

/// One known command.
#[derive(Debug)]
pub(crate) struct Command {
    pub family: Family,
    pub service: &'static str,
    pub name: &'static str,
    /// Changes the state of an account, so two of them may collide.
    pub writes: bool,
    /// Allowed at half the usual rate.
    pub half_rate: bool,
}

macro_rules! commands {
    ($($family:ident $service:literal $name:literal $writes:literal $half_rate:literal;)*) => {
        pub(crate) static COMMANDS: &[Command] = &[$(Command {
            family: Family::$family, service: $service, name: $name, writes: $writes, half_rate: $half_rate,
        }),*];
    };
}

commands! {
    // family, service, command, writes, half rate
    Relations "sns" "group_add" true false;
    Relations "sns" "group_delete" true false;
    Relations "sns" "group_get" false false;
    Relations "sns" "friend_add" true false;
    Relations "sns" "friend_import" true false;
    Relations "sns" "friend_update" true false;
    Relations "sns" "friend_delete" true false;
    Relations "sns" "friend_delete_all" true false;
    Relations "sns" "friend_check" false false;
    Relations "sns" "friend_get" false false;
    Relations "sns" "friend_get_list" false false;
    Relations "sns" "black_list_add" true false;
    Relations "sns" "black_list_delete" true false;
    Relations "sns" "black_list_get" false false;
    Relations "sns" "black_list_check" false false;
    Accounts "im_open_login_svc" "account_import" true false;
    Accounts "im_open_login_svc" "multiaccount_import" true true;
    Accounts "im_open_login_svc" "account_check" false true;
    Accounts "im_open_login_svc" "account_delete" true true;
}

/// Looks a command up by service and name, both case-sensitive.
pub(crate) fn find(service: &str, name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.service == service && command.name == name)
}

/// Splits `/v4/{service}/{command}`; `None` for any other shape.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    let (service, name) = path.strip_prefix("/v4/")?.split_once('/')?;
    (!service.is_empty() && !name.is_empty() && !name.contains('/')).then_some((service, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_relation_commands_and_four_account_commands() {
        let count = |family| COMMANDS.iter().filter(|command| command.family == family).count();
        assert_eq!((count(Family::Relations), count(Family::Accounts)), (15, 4));
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(
            names.len(),
            COMMANDS.len(),
            "faults and the journal name a command by its last segment alone"
        );
    }

    #[test]
    fn paths_are_split_strictly() {
        #[rustfmt::skip]
        let rows = [
            ("/v4/sns/group_delete", Some(("sns", "group_delete"))),
            ("/v4/sns/", None),
            ("/v4//group_delete", None),
            ("/v4/sns/group_delete/", None),
            ("/v3/sns/group_delete", None),
            ("/", None),
        ];
        for (path, expected) in rows {
            assert_eq!(split(path), expected, "{path}");
        }
        assert!(find("sns", "Group_Delete").is_none());
        assert!(find("profile", "group_delete").is_none());
    }
}
