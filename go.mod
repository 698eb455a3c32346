module github.com/nmstate/kubernetes-nmstate

go 1.26.0
