module certgate.test/parsers

go 1.22
