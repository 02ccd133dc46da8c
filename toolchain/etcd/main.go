// Command etcd is the stock etcd server, built from its Go module because no package registry ships a current binary.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
