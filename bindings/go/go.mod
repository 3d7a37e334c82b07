module github.com/libimgroup/libimgroup/bindings/go

go 1.24
