// A relying party in Go: whether a token says that the enclave is the one that is meant, and if not, why not.
//
//	go run docs/examples/check_token.go -issuer https://attest.example -mrsigner HEX -product-id 1 -min-svn 2 TOKEN.jwt
//
// Go's own library is enough. Keys come from the issuer that you name, never from where the token points (jku).
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strings"
	"time"
)

var (
	issuer    = flag.String("issuer", "", "the name in its tokens, an URL")
	mrsigner  = flag.String("mrsigner", "", "the enclave's signer")
	product   = flag.Float64("product-id", -1, "the enclave's product id")
	minSvn    = flag.Float64("min-svn", -1, "the least security version of the enclave")
	nonce     = flag.String("nonce", "", "what you sent with the request, if you sent any")
	authority = flag.String("authority", "", "who signed the certificate of the issuer's server, in PEM")
	simulated = flag.Bool("simulated", false, "for rehearsals: nothing of it is real")
)

type jwk struct{ Kid, Alg, Kty, Crv, N, E, X, Y string }

func refuse(reason string) {
	fmt.Fprintln(os.Stderr, "refused:", reason)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		refuse(err.Error())
	}
	return value
}

func decode(text string) []byte { return must(base64.RawURLEncoding.DecodeString(text)) }

func number(text string) *big.Int { return new(big.Int).SetBytes(decode(text)) }

func keys() []jwk {
	var pool *x509.CertPool // nil: the system's authorities
	if *authority != "" {
		pool = x509.NewCertPool()
		pool.AppendCertsFromPEM(must(os.ReadFile(*authority)))
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	answer, err := client.Get(*issuer + "/certs")
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		refuse(err.Error() + "; name who signed its certificate by -authority FILE")
	}
	must(answer, err)
	defer answer.Body.Close()
	var set struct{ Keys []jwk }
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil {
		refuse(err.Error())
	}
	return set.Keys
}

func signed(key jwk, input string, signature []byte) bool {
	digest := sha256.Sum256([]byte(input))
	switch key.Alg {
	case "RS256":
		public := rsa.PublicKey{N: number(key.N), E: int(number(key.E).Int64())}
		return rsa.VerifyPKCS1v15(&public, crypto.SHA256, digest[:], signature) == nil
	case "ES256":
		public := ecdsa.PublicKey{Curve: elliptic.P256(), X: number(key.X), Y: number(key.Y)}
		half := len(signature) / 2
		return len(signature) == 64 && ecdsa.Verify(&public, digest[:], new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	}
	return false
}

func main() {
	flag.Parse()
	if flag.NArg() != 1 || *issuer == "" || *mrsigner == "" || *product < 0 || *minSvn < 0 {
		fmt.Fprintln(os.Stderr, "needs -issuer, -mrsigner, -product-id, -min-svn, and then one file with a token")
		flag.Usage()
		os.Exit(2)
	}
	parts := strings.Split(strings.TrimSpace(string(must(os.ReadFile(flag.Arg(0))))), ".")
	if len(parts) != 3 {
		refuse("no token")
	}
	var header struct{ Kid, Alg string }
	says := map[string]any{}
	if json.Unmarshal(decode(parts[0]), &header) != nil || json.Unmarshal(decode(parts[1]), &says) != nil {
		refuse("no token")
	}
	known := false
	for _, key := range keys() {
		known = known || key.Kid == header.Kid && key.Alg == header.Alg && signed(key, parts[0]+"."+parts[1], decode(parts[2]))
	}
	if !known {
		refuse("none of the issuer's keys signed it")
	}
	now := float64(time.Now().Unix())
	begins, _ := says["nbf"].(float64)
	ends, _ := says["exp"].(float64)
	svn, hasSvn := says["x-ms-sgx-svn"].(float64)
	simulation, isSaid := says["x-donjon-simulated"]
	_, isOld := says["x-donjon-judged-at"]
	var refusals []string
	for _, check := range []struct {
		good   bool
		reason string
	}{
		{says["iss"] == *issuer, "another issuer"},
		{begins <= now && now < ends, "not yet or no longer good"},
		{says["x-ms-attestation-type"] == "sgx", "not an SGX enclave"},
		{says["x-ms-sgx-is-debuggable"] == false, "its memory can be read (debug)"},
		{says["x-ms-sgx-mrsigner"] == *mrsigner, "another signer"},
		{says["x-ms-sgx-product-id"] == *product, "another product"},
		{hasSvn && svn >= *minSvn, "too old"},
		{*nonce == "" || says["nonce"] == *nonce, "another nonce"},
		{*simulated || !isSaid || simulation == false, "simulated"},
		{!isOld, "judged as of another time"},
	} {
		if !check.good {
			refusals = append(refusals, check.reason)
		}
	}
	if len(refusals) > 0 {
		refuse(strings.Join(refusals, ", "))
	}
	bound := must(json.Marshal(says["x-ms-runtime"]))
	fmt.Println("accepted; what the enclave bound to its quote:", string(bound))
}
