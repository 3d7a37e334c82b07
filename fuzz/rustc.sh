#!/bin/sh
# rustc, as cargo calls it for the fuzz targets: counters go into the code that
# reads what strangers send. In all the rest they would cost time, and draw the
# fuzzer to compression, timers and tables of certificates.
case " $* " in
*" --crate-name build_script_build "* | *" --crate-type proc-macro "*) ;;
*" --crate-name imgroup "* | *" --crate-name imgroup_fuzz "* | *" targets/"* | \
  *" --crate-name serde_json "* | *" --crate-name csv_core "* | *" --crate-name base64 "* | *" --crate-name httpdate "* | \
  *" --crate-name httparse "*)
  set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
  ;;
esac
exec "$@"
