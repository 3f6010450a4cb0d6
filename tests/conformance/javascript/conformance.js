// Microsoft's JavaScript client, unmodified, through every call that it has; one line of JSON for each, by its name.
// What to do stands in the file that is named first: see tests/conformance/foreign.py.
"use strict";

const { readFileSync } = require("node:fs");
const { AttestationAdministrationClient, AttestationClient } = require("@azure/attestation");

const story = JSON.parse(readFileSync(process.argv[2], "utf8"));
const octets = (text) => Buffer.from(text, "base64");
const base64 = (bytes) => (bytes === undefined ? null : Buffer.from(bytes).toString("base64"));
const credential = { getToken: async () => ({ token: "nobody", expiresOnTimestamp: 4102444800000 }) };
const validationOptions = {
  validateToken: true,
  validateIssuer: true,
  expectedIssuer: story.issuer,
  validateExpirationTime: true,
  validateNotBeforeTime: true,
  timeValidationSlack: 10,
};
const attesting = new AttestationClient(story.url, credential, { validationOptions });
const administering = new AttestationAdministrationClient(story.url, credential, { validationOptions });

async function step(name, act) {
  let said;
  try {
    said = await act();
  } catch (error) {
    said = { error: error.message, status: error.statusCode ?? null };
  }
  console.log(JSON.stringify({ name, ...said }));
}

function attested({ body, token }) {
  return {
    issuer: body.issuer,
    held: base64(body.enclaveHeldData),
    claims: body.runTimeClaims ?? null,
    enclave: body.mrEnclave,
    algorithm: token.algorithm,
  };
}

async function attest(kind, evidence, call) {
  const data = octets(story.data);
  await step(`attest ${kind} binary`, async () => attested(await call(evidence, { runTimeData: data })));
  await step(`attest ${kind} json`, async () => attested(await call(evidence, { runTimeJson: data })));
  await step(`attest ${kind} bare`, async () => attested(await call(evidence, {})));
  await step(`attest ${kind} draft`, async () =>
    attested(await call(evidence, { runTimeData: data, draftPolicyForAttestation: story.policy })));
  await step(`attest ${kind} denied`, async () => attested(await call(evidence, { draftPolicyForAttestation: story.denial })));
  await step(`attest ${kind} other`, async () => attested(await call(evidence, { runTimeData: Buffer.from("another") })));
}

function policySet({ body }) {
  return {
    resolution: body.policyResolution,
    hash: base64(body.policyTokenHash),
    signers: body.policySigner === undefined ? 0 : body.policySigner.certificates.length,
  };
}

async function policies(kind, signer) {
  await step(`policy ${kind} before`, async () => ({ policy: (await administering.getPolicy(kind)).body }));
  await step(`policy ${kind} set`, async () => policySet(await administering.setPolicy(kind, story.policy, signer)));
  await step(`policy ${kind} after`, async () => ({ policy: (await administering.getPolicy(kind)).body }));
  await step(`policy ${kind} reset`, async () => policySet(await administering.resetPolicy(kind, signer)));
}

async function certificates({ privateKey, certificate }) {
  const count = async () => ({ count: (await administering.getPolicyManagementCertificates()).body.length });
  const changed = ({ body }) => ({ resolution: body.certificateResolution });
  await step("certificates before", count);
  await step("certificates add", async () =>
    changed(await administering.addPolicyManagementCertificate(story.added, privateKey, certificate)));
  await step("certificates after", count);
  await step("certificates remove", async () =>
    changed(await administering.removePolicyManagementCertificate(story.added, privateKey, certificate)));
}

async function main() {
  const signer = story.signer === null ? {} : { privateKey: story.signer.key, certificate: story.signer.certificate };
  await step("metadata", async () => ({ issuer: (await attesting.getOpenIdMetadata()).issuer }));
  await step("signers", async () => ({ count: (await attesting.getAttestationSigners()).length }));
  await attest("SgxEnclave", octets(story.sgx), (evidence, options) => attesting.attestSgxEnclave(evidence, options));
  await attest("OpenEnclave", octets(story.openEnclave), (evidence, options) => attesting.attestOpenEnclave(evidence, options));
  for (const kind of ["SgxEnclave", "OpenEnclave", "Tpm"]) await policies(kind, signer);
  if (story.signer !== null) await certificates(signer);
}

main();
