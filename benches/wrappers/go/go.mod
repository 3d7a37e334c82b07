module github.com/libimgroup/libimgroup/benches/wrappers/go

go 1.24

require github.com/libimgroup/libimgroup/bindings/go v0.1.0

replace github.com/libimgroup/libimgroup/bindings/go => ../../../bindings/go
