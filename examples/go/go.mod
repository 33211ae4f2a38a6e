module example.org/kw

go 1.19
