// Reads what certgate publishes about a certificate with Go's own parsers: crypto/x509 for the list, golang.org/x/crypto
// for OCSP. Arguments: issuer and leaf in PEM, the URL of the list, the URL of the responder. Prints one line of JSON.
package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/crypto/ocsp"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func certificate(path string) *x509.Certificate {
	text, err := os.ReadFile(path)
	check(err)
	block, _ := pem.Decode(text)
	read, err := x509.ParseCertificate(block.Bytes)
	check(err)
	return read
}

func body(answer *http.Response, err error) []byte {
	check(err)
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		check(fmt.Errorf("answered with %s", answer.Status))
	}
	octets, err := io.ReadAll(answer.Body)
	check(err)
	return octets
}

func main() {
	issuer, leaf := certificate(os.Args[1]), certificate(os.Args[2])
	list, err := x509.ParseRevocationList(body(http.Get(os.Args[3])))
	check(err)
	check(list.CheckSignatureFrom(issuer))
	reason := -1
	for _, entry := range list.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
			reason = entry.ReasonCode
		}
	}
	statuses := []int{}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		request, err := ocsp.CreateRequest(leaf, issuer, &ocsp.RequestOptions{Hash: hash})
		check(err)
		posted := body(http.Post(os.Args[4], "application/ocsp-request", bytes.NewReader(request)))
		got := body(http.Get(os.Args[4] + "/" + url.PathEscape(base64.StdEncoding.EncodeToString(request))))
		for _, octets := range [][]byte{posted, got} {
			answer, err := ocsp.ParseResponseForCert(octets, leaf, issuer)
			check(err)
			statuses = append(statuses, answer.Status)
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"number": list.Number.String(), "authorityKeyId": fmt.Sprintf("%x", list.AuthorityKeyId),
		"points": leaf.CRLDistributionPoints, "responders": leaf.OCSPServer, "issuers": leaf.IssuingCertificateURL,
		"reason": reason, "ocsp": statuses,
	}))
}
