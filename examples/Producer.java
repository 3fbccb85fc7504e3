import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Submits photos from Java with Kafka's own client. No package of Lookstream is needed.
 *
 * <pre>java -cp "kafka-libs/*" Producer.java 127.0.0.1:9092 https://example.com/dress.jpg …</pre>
 *
 * `lookstream info` prints the broker's address as `kafka`. The program prints a job id for each URL
 * once the broker has stored the event. It needs Java 17, and org.apache.kafka:kafka-clients with its
 * dependencies. It does not escape URLs for JSON, so a URL must not contain a quote or a backslash.
 */
public class Producer {
    private static final String TOPIC = "image-submitted";

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0]);
        var text = new StringSerializer();
        Map<String, Future<RecordMetadata>> sent = new LinkedHashMap<>();
        try (var producer = new KafkaProducer<>(settings, text, text)) {
            for (String url : List.of(arguments).subList(1, arguments.length)) {
                String jobId = UUID.randomUUID().toString();
                sent.put(jobId, producer.send(submitted(jobId, url)));
            }
        }
        for (var each : sent.entrySet()) {
            each.getValue().get(); // throws the error if the broker has not stored the event
            System.out.println(each.getKey());
        }
    }

    private static ProducerRecord<String, String> submitted(String jobId, String url) {
        String data = """
            {"job_id": "%s", "source": {"url": "%s"}, "group": "examples"}""";
        var event = new ProducerRecord<>(TOPIC, jobId, data.formatted(jobId, url));
        Map<String, String> headers = Map.of(
            "ce_specversion", "1.0",
            "ce_id", jobId,
            "ce_source", "/examples/java",
            "ce_type", "lookstream." + TOPIC + ".v1",
            "content-type", "application/json");
        headers.forEach((name, value) -> event.headers().add(name, value.getBytes(UTF_8)));
        return event;
    }
}
