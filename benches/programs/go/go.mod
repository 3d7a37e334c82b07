module github.com/libimgroup/libimgroup/benches/programs/go

go 1.24

require github.com/libimgroup/libimgroup/bindings/go v0.1.0

replace github.com/libimgroup/libimgroup/bindings/go => ../../../bindings/go
