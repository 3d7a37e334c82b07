module github.com/libimgroup/libimgroup/examples/go

go 1.24

require github.com/libimgroup/libimgroup/bindings/go v0.1.0

// The package beside this directory.
replace github.com/libimgroup/libimgroup/bindings/go => ../../bindings/go
