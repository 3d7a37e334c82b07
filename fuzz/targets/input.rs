//! The rows of a job: CSV, TSV, JSON lines. The first byte chooses the form, the
//! command, and how the bytes come.

#![no_main]
#![forbid(unsafe_code)]

use std::io::Read;

use imgroup::bulk::{Command, Fault, Format, Input, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let format = [Format::Csv, Format::Tsv, Format::Jsonl][usize::from(choice % 3)];
    let command = if choice & 0x40 == 0 { Command::Delete } else { Command::Export };
    let whole = rows_of(bytes, format, command);
    let pieces = Pieces { bytes, size: usize::from(choice / 3 % 7) + 1 };
    assert_eq!(rows_of(pieces, format, command), whole, "it depends on how the bytes come");

    let Ok((input, rows)) = whole else { return };
    assert_eq!((input.bytes, input.rows), (bytes.len() as u64, rows.len() as u64));
    let lines = 1 + bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
    for pair in rows.windows(2) {
        assert!(pair[0].line <= pair[1].line, "{rows:?}");
    }
    for row in &rows {
        assert!((1..=lines).contains(&row.line), "{row:?}");
        assert!((1..=32).contains(&row.account.len()), "{row:?}");
        assert_eq!(row.list.is_empty(), command == Command::Export, "{row:?}");
        assert!(row.list.len() <= 30, "{row:?}");
    }
    // Written down in each form and read again, it is the same.
    for format in [Format::Csv, Format::Tsv, Format::Jsonl] {
        let (_, again) = rows_of(written(&rows, format).as_bytes(), format, command).unwrap();
        assert!(again.iter().map(Row::names).eq(rows.iter().map(Row::names)), "{format:?}");
    }
});

#[derive(Debug, PartialEq)]
struct Row {
    line: u64,
    account: String,
    list: String,
}

impl Row {
    fn names(&self) -> (&str, &str) {
        (&self.account, &self.list)
    }
}

fn rows_of(source: impl Read, format: Format, command: Command) -> Result<(Input, Vec<Row>), String> {
    let mut rows = Vec::new();
    let input = read(source, format, command, |row| {
        rows.push(Row { line: row.line, account: row.account.to_owned(), list: row.list.to_owned() });
        Ok(())
    });
    match input {
        Ok(input) => Ok((input, rows)),
        Err(Fault::Rows(error)) => {
            assert!(error.message().len() < 4096, "{error}");
            Err(error.to_string())
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn written(rows: &[Row], format: Format) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let line = |row: &Row| match format {
        Format::Csv => format!("{},{}\n", quoted(&row.account), quoted(&row.list)),
        Format::Tsv => format!("{}\t{}\n", quoted(&row.account), quoted(&row.list)),
        Format::Jsonl => format!("{}\n", serde_json::json!({ "account": row.account, "list": row.list })),
    };
    let header = match format {
        Format::Csv => "account,list\n",
        Format::Tsv => "account\tlist\n",
        Format::Jsonl => "",
    };
    header.to_owned() + &rows.iter().map(line).collect::<String>()
}

/// A few bytes at a time.
struct Pieces<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.size.min(buffer.len());
        self.bytes.by_ref().take(size as u64).read(buffer)
    }
}
