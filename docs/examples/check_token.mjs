// A relying party in Node: whether a token says that the enclave is the one that is meant, and if not, why not.
//
//     node docs/examples/check_token.mjs TOKEN.jwt --issuer https://attest.example --mrsigner HEX --product-id 1 --min-svn 2
//
// Node's own library is enough. Keys come from the issuer that you name, never from where the token points (jku).

import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { get } from "node:https";
import { parseArgs } from "node:util";

const text = { type: "string" };
const options = {
  issuer: text, mrsigner: text, "product-id": text, "min-svn": text, nonce: text, authority: text, simulated: { type: "boolean" },
};

function asked() {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    const needed = ["issuer", "mrsigner", "product-id", "min-svn"].filter((name) => values[name] === undefined);
    if (positionals.length === 1 && !needed.length) return [positionals[0], values];
    console.error(needed.length ? `needs --${needed.join(", --")}` : "needs one file with a token");
  } catch (error) {
    console.error(error.message);
  }
  console.error("usage: check_token.mjs TOKEN.jwt --issuer URL --mrsigner HEX --product-id N --min-svn N [--nonce TEXT] [--authority FILE] [--simulated]");
  process.exit(2);
}

function refuse(reason) {
  console.error(`refused: ${reason}`);
  process.exit(1);
}

const [file, wanted] = asked();
const unknown = /SELF_SIGNED_CERT|UNABLE_TO_(VERIFY|GET_ISSUER)/;
process.on("uncaughtException", (error) => {
  const hint = unknown.test(error.code) ? "; name who signed its certificate by --authority FILE" : "";
  refuse(`${error.message || error.code}${hint}`);
});

function fetched(url, ca) {
  return new Promise((resolve, reject) => {
    const request = get(url, { ca, timeout: 10_000 }, (answer) => {
      let body = "";
      answer.on("data", (piece) => (body += piece));
      answer.on("end", () => resolve(JSON.parse(body)));
    });
    request.on("timeout", () => request.destroy(new Error(`no answer of ${url} in 10 s`)));
    request.on("error", reject);
  });
}

const parts = readFileSync(file, "utf8").trim().split(".");
if (parts.length !== 3) refuse("no token");
const [header, says] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
const ca = wanted.authority && readFileSync(wanted.authority);
const { keys = [] } = await fetched(`${wanted.issuer}/certs`, ca);
const jwk = keys.find((each) => each.kid === header.kid && each.alg === header.alg);
if (!jwk) refuse("none of the issuer's keys signed it");
const schemes = { RS256: {}, ES256: { dsaEncoding: "ieee-p1363" } };
if (!Object.hasOwn(schemes, header.alg)) refuse(`algorithm ${header.alg}`);
const key = { key: createPublicKey({ key: jwk, format: "jwk" }), ...schemes[header.alg] };
if (!verify("sha256", Buffer.from(`${parts[0]}.${parts[1]}`), key, Buffer.from(parts[2], "base64url"))) refuse("its signature is not the key's");

const now = Date.now() / 1000;
const checks = {
  "another issuer": says.iss === wanted.issuer,
  "not yet or no longer good": says.nbf <= now && now < says.exp,
  "not an SGX enclave": says["x-ms-attestation-type"] === "sgx",
  "its memory can be read (debug)": says["x-ms-sgx-is-debuggable"] === false,
  "another signer": says["x-ms-sgx-mrsigner"] === wanted.mrsigner,
  "another product": says["x-ms-sgx-product-id"] === Number(wanted["product-id"]),
  "too old": says["x-ms-sgx-svn"] >= Number(wanted["min-svn"]),
  "another nonce": wanted.nonce === undefined || says.nonce === wanted.nonce,
  simulated: wanted.simulated || [undefined, false].includes(says["x-donjon-simulated"]),
  "judged as of another time": !("x-donjon-judged-at" in says),
};
const refusals = Object.keys(checks).filter((reason) => !checks[reason]);
if (refusals.length) refuse(refusals.join(", "));
console.log("accepted; what the enclave bound to its quote:", JSON.stringify(says["x-ms-runtime"] ?? null));
