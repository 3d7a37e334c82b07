//! Reading the fields of a request body, each refusal naming its field.

#![forbid(unsafe_code)]

use serde_json::{Map, Value};

use super::command::Family;
use super::reply::Refusal;

/// The longest account, in bytes.
pub(crate) const ACCOUNT_MAX: usize = 32;
/// The longest list name, in bytes.
pub(crate) const NAME_MAX: usize = 30;
/// The most accounts in one request of the relation family.
pub(crate) const ACCOUNTS_PER_REQUEST: usize = 1000;

/// A JSON object of the request, and whose code a bad parameter gets.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    members: &'a Map<String, Value>,
    family: Family,
}

impl<'a> Fields<'a> {
    pub fn new(members: &'a Map<String, Value>, family: Family) -> Fields<'a> {
        Fields { members, family }
    }

    /// A bad parameter: 30001, or 70402 in the account family.
    pub fn bad(&self, name: &str, rule: impl std::fmt::Display) -> Refusal {
        let code = match self.family {
            Family::Relations => 30001,
            Family::Accounts => 70402,
        };
        Refusal::new(code, format!("{name} {rule}"))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A required account.
    pub fn account(&self, name: &str) -> Result<&'a str, Refusal> {
        match self.get(name) {
            Some(Value::String(account)) => self.check_account(name, account),
            Some(_) => Err(self.bad(name, "must be a string")),
            None => Err(self.bad(name, "is missing")),
        }
    }

    fn check_account(&self, name: &str, account: &'a str) -> Result<&'a str, Refusal> {
        if account.is_empty() || account.len() > ACCOUNT_MAX {
            return Err(
                self.bad(name, format_args!("must be 1 to {ACCOUNT_MAX} bytes, not {}", account.len()))
            );
        }
        Ok(account)
    }

    /// A required array, of 1 to `most` elements.
    fn array(&self, name: &str, most: usize) -> Result<&'a [Value], Refusal> {
        match self.get(name) {
            Some(Value::Array(values)) if values.is_empty() => Err(self.bad(name, "is empty")),
            Some(Value::Array(values)) if values.len() > most => {
                Err(self.bad(name, format_args!("has {} elements, at most {most} are allowed", values.len())))
            }
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(self.bad(name, "must be an array")),
            None => Err(self.bad(name, "is missing")),
        }
    }

    fn strings(&self, name: &str, values: &'a [Value]) -> Result<Vec<&'a str>, Refusal> {
        values
            .iter()
            .map(|value| value.as_str().ok_or_else(|| self.bad(name, "must be an array of strings")))
            .collect()
    }

    /// A required array of accounts.
    pub fn accounts(&self, name: &str, most: usize) -> Result<Vec<&'a str>, Refusal> {
        let accounts = self.strings(name, self.array(name, most)?)?;
        for account in &accounts {
            self.check_account(name, account)?;
        }
        Ok(accounts)
    }

    /// The same; absent, null and empty are no accounts.
    pub fn optional_accounts(&self, name: &str, most: usize) -> Result<Vec<&'a str>, Refusal> {
        if self.is_empty(name) { Ok(Vec::new()) } else { self.accounts(name, most) }
    }

    fn is_empty(&self, name: &str) -> bool {
        match self.get(name) {
            None | Some(Value::Null) => true,
            Some(Value::Array(values)) => values.is_empty(),
            _ => false,
        }
    }

    /// A required array of list names. The same name twice counts once.
    pub fn names(&self, name: &str, most: usize) -> Result<Vec<&'a str>, Refusal> {
        let mut names: Vec<&str> = Vec::new();
        for list in self.strings(name, self.array(name, most)?)? {
            self.check_name(name, list)?;
            if !names.contains(&list) {
                names.push(list);
            }
        }
        Ok(names)
    }

    /// The same; absent, null and empty are no names.
    pub fn optional_names(&self, name: &str, most: usize) -> Result<Vec<&'a str>, Refusal> {
        if self.is_empty(name) { Ok(Vec::new()) } else { self.names(name, most) }
    }

    pub fn check_name(&self, name: &str, list: &str) -> Result<(), Refusal> {
        if list.is_empty() || list.len() > NAME_MAX {
            return Err(self.bad(name, format_args!("must be 1 to {NAME_MAX} bytes, not {}", list.len())));
        }
        Ok(())
    }

    /// A required array of strings of any kind.
    pub fn texts(&self, name: &str, most: usize) -> Result<Vec<&'a str>, Refusal> {
        self.strings(name, self.array(name, most)?)
    }

    /// A required array of objects.
    pub fn objects(&self, name: &str, most: usize) -> Result<Vec<Fields<'a>>, Refusal> {
        self.array(name, most)?
            .iter()
            .map(|value| match value {
                Value::Object(members) => Ok(Fields::new(members, self.family)),
                _ => Err(self.bad(name, "must be an array of objects")),
            })
            .collect()
    }

    /// An optional text; absent and null are empty.
    pub fn text(&self, name: &str, most: usize) -> Result<&'a str, Refusal> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) if text.len() > most => {
                Err(self.bad(name, format_args!("must be at most {most} bytes, not {}", text.len())))
            }
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.bad(name, "must be a string")),
        }
    }

    /// An optional number, not negative; absent and null are 0.
    pub fn number(&self, name: &str) -> Result<u64, Refusal> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => value.as_u64().ok_or_else(|| self.bad(name, "must be an integer, not negative")),
        }
    }

    /// A required number, not negative.
    pub fn required_number(&self, name: &str) -> Result<u64, Refusal> {
        if !self.has(name) {
            return Err(self.bad(name, "is missing"));
        }
        self.number(name)
    }

    /// One of several words; `default` if it is absent or empty, and an error
    /// without one.
    pub fn word(
        &self,
        name: &str,
        words: &[&'static str],
        default: Option<&'static str>,
    ) -> Result<&'static str, Refusal> {
        let given = self.text(name, 64)?;
        if given.is_empty() {
            return default.ok_or_else(|| self.bad(name, "is missing"));
        }
        words
            .iter()
            .find(|word| **word == given)
            .copied()
            .ok_or_else(|| self.bad(name, format_args!("must be one of {}", words.join(", "))))
    }

    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.get(name)
    }
}

/// Whether an account anywhere in the body is not a string: the gateway refuses
/// that (60015) before any service looks at the rest. Names the field.
pub(crate) fn misspelt_account(members: &Map<String, Value>) -> Option<&'static str> {
    fn look(value: &Value) -> Option<&'static str> {
        match value {
            Value::Object(members) => misspelt_account(members),
            Value::Array(values) => values.iter().find_map(look),
            _ => None,
        }
    }
    const NAMES: [&str; 5] = ["From_Account", "To_Account", "UserID", "Identifier", "Accounts"];
    members.iter().find_map(|(name, value)| {
        let Some(name) = NAMES.into_iter().find(|known| known == name) else {
            return look(value);
        };
        match value {
            Value::String(_) => None,
            // A list where one is expected, or not: that is for the service to say.
            Value::Array(values) if values.iter().all(Value::is_string) => None,
            _ => Some(name),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn accounts_that_are_no_strings_are_found_anywhere() {
        #[rustfmt::skip]
        let rows = [
            (json!({"From_Account": 1}), Some("From_Account")),
            (json!({"From_Account": null}), Some("From_Account")),
            (json!({"From_Account": "a", "To_Account": ["b", 2]}), Some("To_Account")),
            (json!({"AddFriendItem": [{"To_Account": 5}]}), Some("To_Account")),
            (json!({"CheckItem": [{"UserID": "a"}, {"UserID": true}]}), Some("UserID")),
            (json!({"Accounts": ["a", 1]}), Some("Accounts")),
            (json!({"From_Account": "a", "To_Account": ["b"], "GroupName": [1]}), None),
            (json!({}), None),
        ];
        for (body, expected) in rows {
            assert_eq!(misspelt_account(object(&body)), expected, "{body}");
        }
    }

    #[test]
    fn refusals_name_field_and_rule() {
        let body = json!({
            "one": "a", "empty": [], "number": -1, "mixed": ["a", 1], "long": "x".repeat(33), "text": 5,
            "names": ["a", "a", "é".repeat(15)], "wide": ["é".repeat(16)], "many": ["a", "b", "c"],
        });
        let fields = Fields::new(object(&body), Family::Relations);
        #[rustfmt::skip]
        let rows = [
            (fields.account("absent").map(drop), "absent is missing"),
            (fields.account("long").map(drop), "long must be 1 to 32 bytes, not 33"),
            (fields.accounts("one", 9).map(drop), "one must be an array"),
            (fields.accounts("empty", 9).map(drop), "empty is empty"),
            (fields.accounts("mixed", 9).map(drop), "mixed must be an array of strings"),
            (fields.accounts("many", 2).map(drop), "many has 3 elements, at most 2 are allowed"),
            (fields.names("wide", 9).map(drop), "wide must be 1 to 30 bytes, not 32"),
            (fields.number("number").map(drop), "number must be an integer, not negative"),
            (fields.required_number("absent").map(drop), "absent is missing"),
            (fields.text("text", 9).map(drop), "text must be a string"),
            (fields.word("one", &["b", "c"], None).map(drop), "one must be one of b, c"),
        ];
        for (result, expected) in rows {
            let refusal = result.unwrap_err();
            assert_eq!((refusal.code, &*refusal.info), (30001, expected));
        }
        assert_eq!(fields.names("names", 9).unwrap().len(), 2, "a name given twice counts once");
        assert!(fields.optional_names("absent", 9).unwrap().is_empty());
        assert_eq!(Fields::new(object(&body), Family::Accounts).account("absent").unwrap_err().code, 70402);
    }
}
