// Asks Java's own PKIX validator about certificates of certgate, with their revocation checked in each way that it knows.
// Arguments: root, issuer and the two lists in files, then leaves. Prints a line for each leaf and way: "NAME WAY VERDICT".

import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.file.Path;
import java.security.cert.CRL;
import java.security.cert.CertPath;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

public class Revocations {
    static final CertificateFactory FACTORY;

    static {
        try {
            FACTORY = CertificateFactory.getInstance("X.509");
        } catch (java.security.cert.CertificateException error) {
            throw new IllegalStateException(error);
        }
    }

    static X509Certificate certificate(String path) throws Exception {
        try (InputStream in = new FileInputStream(path)) {
            return (X509Certificate) FACTORY.generateCertificate(in);
        }
    }

    static String verdict(CertPath path, PKIXParameters parameters) throws Exception {
        try {
            CertPathValidator.getInstance("PKIX").validate(path, parameters);
            return "good";
        } catch (CertPathValidatorException refusal) {
            return refusal.getReason() + " at " + refusal.getIndex();
        }
    }

    public static void main(String[] arguments) throws Exception {
        System.setProperty("com.sun.security.enableCRLDP", "true");
        X509Certificate root = certificate(arguments[0]);
        X509Certificate issuer = certificate(arguments[1]);
        List<CRL> lists = new ArrayList<>();
        for (String path : Arrays.copyOfRange(arguments, 2, 4)) {
            try (InputStream in = new FileInputStream(path)) {
                lists.add(FACTORY.generateCRL(in));
            }
        }
        for (String leaf : Arrays.copyOfRange(arguments, 4, arguments.length)) {
            CertPath path = FACTORY.generateCertPath(List.of(certificate(leaf), issuer));
            for (String way : List.of("lists", "published-list", "ocsp")) {
                PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
                PKIXRevocationChecker checker =
                        (PKIXRevocationChecker) CertPathValidator.getInstance("PKIX").getRevocationChecker();
                EnumSet<Option> options = EnumSet.of(Option.NO_FALLBACK);
                if (!way.equals("ocsp")) options.add(Option.PREFER_CRLS);
                // The issuer's own certificate names no list and no responder.
                if (!way.equals("lists")) options.add(Option.ONLY_END_ENTITY);
                if (way.equals("lists")) {
                    parameters.addCertStore(
                            CertStore.getInstance("Collection", new CollectionCertStoreParameters(lists)));
                }
                checker.setOptions(options);
                parameters.addCertPathChecker(checker);
                String name = Path.of(leaf).getParent().getFileName().toString();
                System.out.println(name + " " + way + " " + verdict(path, parameters));
            }
        }
    }
}
