import com.azure.core.credential.AccessToken;
import com.azure.core.credential.TokenCredential;
import com.azure.core.exception.HttpResponseException;
import com.azure.core.util.BinaryData;
import com.azure.security.attestation.AttestationAdministrationAsyncClient;
import com.azure.security.attestation.AttestationAdministrationClient;
import com.azure.security.attestation.AttestationAdministrationClientBuilder;
import com.azure.security.attestation.AttestationAsyncClient;
import com.azure.security.attestation.AttestationClient;
import com.azure.security.attestation.AttestationClientBuilder;
import com.azure.security.attestation.models.AttestationData;
import com.azure.security.attestation.models.AttestationDataInterpretation;
import com.azure.security.attestation.models.AttestationOptions;
import com.azure.security.attestation.models.AttestationPolicySetOptions;
import com.azure.security.attestation.models.AttestationResult;
import com.azure.security.attestation.models.AttestationSignerCollection;
import com.azure.security.attestation.models.AttestationSigningKey;
import com.azure.security.attestation.models.AttestationTokenValidationOptions;
import com.azure.security.attestation.models.AttestationType;
import com.azure.security.attestation.models.PolicyCertificatesModificationResult;
import com.azure.security.attestation.models.PolicyManagementCertificateOptions;
import com.azure.security.attestation.models.PolicyResult;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.BiFunction;
import java.util.function.Function;
import reactor.core.publisher.Mono;

/**
 * Microsoft's Java client, unmodified, in both its forms through every call that it has; one line of JSON for each, by its name.
 * What to do stands in the files that are named, one story after the other; the lines of each go to a file of its name with
 * ".lines" behind it: see tests/conformance/foreign.py.
 */
public final class Conformance {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final JsonNode story;
    private final Calls calls;
    private final AttestationSigningKey signer;
    private final PrintStream lines;

    /** What both forms of the client can do; the one that is asynchronous is waited for. */
    private record Calls(
            Callable<String> issuer,
            Callable<AttestationSignerCollection> signers,
            Function<AttestationOptions, AttestationResult> sgx,
            Function<AttestationOptions, AttestationResult> openEnclave,
            Function<AttestationType, String> policy,
            BiFunction<AttestationType, AttestationPolicySetOptions, PolicyResult> set,
            BiFunction<AttestationType, AttestationPolicySetOptions, PolicyResult> reset,
            Callable<AttestationSignerCollection> certificates,
            Function<PolicyManagementCertificateOptions, PolicyCertificatesModificationResult> add,
            Function<PolicyManagementCertificateOptions, PolicyCertificatesModificationResult> remove) {}

    private interface Step {
        Map<String, Object> act() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        for (String file : arguments) {
            try (PrintStream lines = new PrintStream(file + ".lines", StandardCharsets.UTF_8)) {
                tell(JSON.readTree(new File(file)), lines);
            }
        }
        System.exit(0); // The client's own threads would live on.
    }

    private static void tell(JsonNode story, PrintStream lines) throws Exception {
        TokenCredential credential = request -> Mono.just(new AccessToken("nobody", OffsetDateTime.now().plusDays(1)));
        AttestationTokenValidationOptions strict = new AttestationTokenValidationOptions()
                .setExpectedIssuer(story.get("issuer").asText())
                .setValidationSlack(Duration.ofSeconds(10));
        AttestationClientBuilder attesting = new AttestationClientBuilder()
                .endpoint(story.get("url").asText()).credential(credential).tokenValidationOptions(strict);
        AttestationAdministrationClientBuilder administering = new AttestationAdministrationClientBuilder()
                .endpoint(story.get("url").asText()).credential(credential).tokenValidationOptions(strict);
        boolean waits = story.get("form").asText().equals("sync");
        Calls calls = waits
                ? synchronous(attesting.buildClient(), administering.buildClient())
                : asynchronous(attesting.buildAsyncClient(), administering.buildAsyncClient());
        new Conformance(story, calls, lines).run();
    }

    private static Calls synchronous(AttestationClient attesting, AttestationAdministrationClient administering) {
        return new Calls(
                () -> attesting.getOpenIdMetadata().getIssuer(),
                attesting::listAttestationSigners,
                attesting::attestSgxEnclave,
                attesting::attestOpenEnclave,
                administering::getAttestationPolicy,
                administering::setAttestationPolicy,
                administering::resetAttestationPolicy,
                administering::listPolicyManagementCertificates,
                administering::addPolicyManagementCertificate,
                administering::deletePolicyManagementCertificate);
    }

    private static Calls asynchronous(AttestationAsyncClient attesting, AttestationAdministrationAsyncClient administering) {
        return new Calls(
                () -> attesting.getOpenIdMetadata().block().getIssuer(),
                () -> attesting.listAttestationSigners().block(),
                options -> attesting.attestSgxEnclave(options).block(),
                options -> attesting.attestOpenEnclave(options).block(),
                kind -> administering.getAttestationPolicy(kind).block(),
                (kind, options) -> administering.setAttestationPolicy(kind, options).block(),
                (kind, options) -> administering.resetAttestationPolicy(kind, options).block(),
                () -> administering.listPolicyManagementCertificates().block(),
                options -> administering.addPolicyManagementCertificate(options).block(),
                options -> administering.deletePolicyManagementCertificate(options).block());
    }

    private Conformance(JsonNode story, Calls calls, PrintStream lines) throws Exception {
        this.lines = lines;
        this.story = story;
        this.calls = calls;
        JsonNode said = story.get("signer");
        this.signer = said.isNull() ? null : new AttestationSigningKey(certificate(said.get("certificate").asText()), key(said));
    }

    private void run() throws Exception {
        step("metadata", () -> Map.of("issuer", calls.issuer().call()));
        step("signers", () -> Map.of("count", calls.signers().call().getAttestationSigners().size()));
        attest("SgxEnclave", octets("sgx"), calls.sgx());
        attest("OpenEnclave", octets("openEnclave"), calls.openEnclave());
        for (AttestationType kind : new AttestationType[] {
            AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE, AttestationType.TPM
        }) {
            policies(kind);
        }
        if (signer != null) {
            certificates();
        }
    }

    private void attest(String kind, BinaryData evidence, Function<AttestationOptions, AttestationResult> call) throws Exception {
        AttestationData binary = new AttestationData(octets("data"), AttestationDataInterpretation.BINARY);
        AttestationData json = new AttestationData(octets("data"), AttestationDataInterpretation.JSON);
        AttestationData other = new AttestationData(BinaryData.fromString("another"), AttestationDataInterpretation.BINARY);
        String policy = story.get("policy").asText();
        String denial = story.get("denial").asText();
        step("attest " + kind + " binary", () -> attested(call.apply(options(evidence).setRunTimeData(binary))));
        step("attest " + kind + " json", () -> attested(call.apply(options(evidence).setRunTimeData(json))));
        step("attest " + kind + " bare", () -> attested(call.apply(options(evidence))));
        step("attest " + kind + " draft", () ->
                attested(call.apply(options(evidence).setRunTimeData(binary).setDraftPolicyForAttestation(policy))));
        step("attest " + kind + " denied", () ->
                attested(call.apply(options(evidence).setDraftPolicyForAttestation(denial))));
        step("attest " + kind + " other", () -> attested(call.apply(options(evidence).setRunTimeData(other))));
    }

    private static AttestationOptions options(BinaryData evidence) {
        return new AttestationOptions(evidence);
    }

    private static Map<String, Object> attested(AttestationResult result) {
        Map<String, Object> said = new LinkedHashMap<>();
        said.put("issuer", result.getIssuer());
        said.put("held", base64(result.getEnclaveHeldData()));
        said.put("claims", result.getRuntimeClaims());
        said.put("enclave", result.getMrEnclave());
        return said;
    }

    private void policies(AttestationType kind) {
        AttestationPolicySetOptions change = new AttestationPolicySetOptions().setAttestationSigner(signer);
        step("policy " + kind + " before", () -> Map.of("policy", calls.policy().apply(kind)));
        step("policy " + kind + " set", () -> changed(
                calls.set().apply(kind, change.setAttestationPolicy(story.get("policy").asText()))));
        step("policy " + kind + " after", () -> Map.of("policy", calls.policy().apply(kind)));
        step("policy " + kind + " reset", () -> changed(
                calls.reset().apply(kind, new AttestationPolicySetOptions().setAttestationSigner(signer))));
    }

    private static Map<String, Object> changed(PolicyResult result) {
        Map<String, Object> said = new LinkedHashMap<>();
        said.put("resolution", result.getPolicyResolution().toString());
        said.put("hash", base64(result.getPolicyTokenHash()));
        said.put("signers", result.getPolicySigner() == null ? 0 : result.getPolicySigner().getCertificates().size());
        return said;
    }

    private void certificates() throws Exception {
        PolicyManagementCertificateOptions change =
                new PolicyManagementCertificateOptions(certificate(story.get("added").asText()), signer);
        Step count = () -> Map.of("count", calls.certificates().call().getAttestationSigners().size());
        step("certificates before", count);
        step("certificates add", () -> Map.of("resolution", calls.add().apply(change).getCertificateResolution().toString()));
        step("certificates after", count);
        step("certificates remove", () ->
                Map.of("resolution", calls.remove().apply(change).getCertificateResolution().toString()));
    }

    private void step(String name, Step step) {
        Map<String, Object> said = new LinkedHashMap<>();
        said.put("name", name);
        try {
            said.putAll(step.act());
        } catch (Exception error) {
            said.put("error", String.valueOf(error.getMessage()));
            said.put("status", error instanceof HttpResponseException refused ? refused.getResponse().getStatusCode() : null);
        }
        try {
            lines.println(JSON.writeValueAsString(said));
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private BinaryData octets(String name) {
        return BinaryData.fromBytes(Base64.getDecoder().decode(story.get(name).asText()));
    }

    private static String base64(BinaryData bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes.toBytes());
    }

    private static X509Certificate certificate(String pem) throws Exception {
        byte[] text = pem.getBytes(StandardCharsets.US_ASCII);
        return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(text));
    }

    private static java.security.PrivateKey key(JsonNode said) throws Exception {
        String body = said.get("key").asText().replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(body)));
    }
}
