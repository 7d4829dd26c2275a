package main

import (
	"fmt"
)

// T is.
type T struct {
	a int
}

func (t *T) Name() string {
	return `raw
func fake() {
`
}

func main() {
	fmt.Println("x")
}
