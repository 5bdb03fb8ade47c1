// What an INSERT does beside storing its rows, for any client: refusals that name the field, COPY, wake-ups.
import Foundation
import JSON
import JobModel
import JobStorage
import Logging
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct InsertTests {
    private static func withModel(_ body: (TestDatabase, PostgresPool) async throws -> Void) async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool()
            try await PostgresJobStore(pool: pool).register(
                RegisteredModel(
                    name: "m", digest: String(repeating: "a", count: 64), architecture: "llama", contextLength: 10,
                    uri: "/m", bytes: 1))
            try await body(database, pool)
            await pool.close()
        }
    }

    private static let refusals: [(input: String, field: String)] = [
        (#"[]"#, "input"), (#"{}"#, "input.prompt"), (#"{"prompt":""}"#, "input.prompt"),
        (#"{"prompt":1}"#, "input.prompt"),
        (#"{"prompt":"x","messages":[{"role":"user","content":"y"}]}"#, "input.messages"),
        (#"{"messages":[]}"#, "input.messages"), (#"{"messages":[{"content":"y"}]}"#, "input.messages[0].role"),
        (#"{"messages":[{"role":"user","content":5}]}"#, "input.messages[0].content"),
        (#"{"prompt":"x","raw":1}"#, "input.raw"), (#"{"prompt":"x","raw":true,"system":"y"}"#, "input.raw"),
        (#"{"messages":[{"role":"user","content":"y"}],"raw":true}"#, "input.raw"),
        (#"{"prompt":"x","system":1}"#, "input.system"), (#"{"prompt":"x","tools":{}}"#, "input.tools"),
        (#"{"prompt":"x","max_tokens":0}"#, "input.max_tokens"),
        (#"{"prompt":"x","max_tokens":1.5}"#, "input.max_tokens"),
        (#"{"prompt":"x","max_tokens":1e9}"#, "input.max_tokens"),
        (#"{"prompt":"x","temperature":-1}"#, "input.temperature"), (#"{"prompt":"x","top_k":-1}"#, "input.top_k"),
        (#"{"prompt":"x","top_p":0}"#, "input.top_p"), (#"{"prompt":"x","min_p":2}"#, "input.min_p"),
        (#"{"prompt":"x","repetition_penalty":0}"#, "input.repetition_penalty"),
        (#"{"prompt":"x","presence_penalty":3}"#, "input.presence_penalty"),
        (#"{"prompt":"x","frequency_penalty":"1"}"#, "input.frequency_penalty"),
        (#"{"prompt":"x","seed":1e30}"#, "input.seed"), (#"{"prompt":"x","stop":[""]}"#, "input.stop[0]"),
        (#"{"prompt":"x","stop":5}"#, "input.stop"), (#"{"prompt":"x","logprobs":21}"#, "input.logprobs"),
        (#"{"prompt":"x","ignore_eos":"yes"}"#, "input.ignore_eos"),
        (#"{"prompt":"x","response_format":"json"}"#, "input.response_format"),
        (#"{"prompt":"x","response_format":{"type":"yaml"}}"#, "input.response_format.type"),
        (#"{"prompt":"x","response_format":{}}"#, "input.response_format.type"),
        (
            #"{"prompt":"x","response_format":{"type":"json_schema","json_schema":{}}}"#,
            "input.response_format.json_schema.schema"
        ),
        (#"{"prompt":"x","structured_outputs":[]}"#, "input.structured_outputs"),
        (#"{"prompt":"x","structured_outputs":{}}"#, "input.structured_outputs"),
        (#"{"prompt":"x","structured_outputs":{"regex":"a","choice":["a"]}}"#, "input.structured_outputs"),
        (#"{"prompt":"x","structured_outputs":{"regex":5}}"#, "input.structured_outputs.regex"),
        (#"{"prompt":"x","structured_outputs":{"choice":[]}}"#, "input.structured_outputs.choice"),
        (#"{"prompt":"x","structured_outputs":{"choice":["a",1]}}"#, "input.structured_outputs.choice"),
        (
            #"{"prompt":"x","structured_outputs":{"regex":"a"},"response_format":{"type":"json_object"}}"#,
            "input.structured_outputs"
        ),
        (#"{"prompt":"x","structured_outputs":{"regex":"a"},"stop":"b"}"#, "input.stop"),
        (#"{"prompt":"x","response_format":{"type":"json_object"},"ignore_eos":true}"#, "input.ignore_eos"),
        (#"{"prompt":"x","temprature":1}"#, "input.temprature"), (#"{"prompt":"x","stream":true}"#, "input.stream"),
    ]

    @Test func badInputsAreRefusedWithTheirField() async throws {
        try await Self.withModel { _, pool async throws in
            for (input, field) in Self.refusals {
                let error = await #expect(throws: PostgresError.self, "\(input)") {
                    try await pool.query(
                        "INSERT INTO millrace.jobs (kind, model, input) VALUES ('generate', 'm', $1)", [input])
                }
                #expect(error?.message.hasPrefix(field + ": ") == true, "\(input): \(error?.message ?? "")")
            }
            #expect(try await pool.query("SELECT 1 AS one FROM millrace.jobs").isEmpty)
        }
    }

    private static let scoreAndEmbedRefusals: [(kind: String, input: String, field: String)] = [
        ("score", #"{}"#, "input.continuations"), ("score", #"{"prompt":"a"}"#, "input.continuations"),
        ("score", #"{"continuations":["b"]}"#, "input.prompt"),
        ("score", #"{"prompt":1,"continuations":["b"]}"#, "input.prompt"),
        ("score", #"{"prompt":"a","continuations":"b"}"#, "input.continuations"),
        ("score", #"{"prompt":"a","continuations":[]}"#, "input.continuations"),
        ("score", #"{"prompt":"a","continuations":["b",""]}"#, "input.continuations[1]"),
        ("score", #"{"prompt":"a","continuations":["b",2]}"#, "input.continuations[1]"),
        ("score", #"{"messages":[],"continuations":["b"]}"#, "input.messages"),
        (
            "score", #"{"prompt":"a","messages":[{"role":"user","content":"x"}],"continuations":["b"]}"#,
            "input.messages"
        ),
        ("score", #"{"text":""}"#, "input.text"), ("score", #"{"text":["a"]}"#, "input.text"),
        ("score", #"{"text":"a","prompt":"b"}"#, "input.prompt"),
        ("score", #"{"text":"a","continuations":["b"]}"#, "input.continuations"),
        ("score", #"{"prompt":"a","continuations":["b"],"window":8}"#, "input.window"),
        ("score", #"{"text":"a","window":1}"#, "input.window"), ("score", #"{"text":"a","stride":0}"#, "input.stride"),
        ("score", #"{"text":"a","window":8,"stride":9}"#, "input.stride"),
        ("score", #"{"text":"a","logprobs":21}"#, "input.logprobs"),
        ("score", #"{"text":"a","max_tokens":5}"#, "input.max_tokens"),
        ("embed", #"{}"#, "input.input"), ("embed", #"{"input":""}"#, "input.input"),
        ("embed", #"{"input":[]}"#, "input.input"), ("embed", #"{"input":5}"#, "input.input"),
        ("embed", #"{"input":["a",""]}"#, "input.input[1]"), ("embed", #"{"input":["a",null]}"#, "input.input[1]"),
        ("embed", #"{"input":"a","pooling":"max"}"#, "input.pooling"),
        ("embed", #"{"input":"a","pooling":1}"#, "input.pooling"),
        ("embed", #"{"input":"a","normalize":"yes"}"#, "input.normalize"),
        ("embed", #"{"input":"a","dimensions":5}"#, "input.dimensions"),
        ("quantize", #"{}"#, "input.to"), ("quantize", #"{"to":"int3"}"#, "input.to"),
        ("quantize", #"{"to":8}"#, "input.to"), ("quantize", #"{"to":"int4","name":"../m"}"#, "input.name"),
        ("quantize", #"{"to":"int4","name":""}"#, "input.name"),
        ("quantize", #"{"to":"int4","text":""}"#, "input.text"),
        ("quantize", #"{"to":"int4","bits":4}"#, "input.bits"),
    ]

    @Test func scoreAndEmbedInputsAreCheckedByField() async throws {
        let many = "[" + Array(repeating: "\"x\"", count: 257).joined(separator: ",") + "]"
        let refusals =
            Self.scoreAndEmbedRefusals + [
                ("score", #"{"prompt":"a","continuations":\#(many)}"#, "input.continuations"),
                ("embed", #"{"input":\#(many)}"#, "input.input"),
            ]
        try await Self.withModel { _, pool async throws in
            func insert(_ kind: String, _ input: String) async throws {
                _ = try await pool.query(
                    "INSERT INTO millrace.jobs (kind, model, input) VALUES ($1, 'm', $2)", [kind, input])
            }
            for (kind, input, field) in refusals {
                let error = await #expect(throws: PostgresError.self, "\(input)") { try await insert(kind, input) }
                #expect(error?.message.hasPrefix(field + ": ") == true, "\(input): \(error?.message ?? "")")
            }
            for (kind, input) in [
                ("score", #"{"prompt":"","continuations":["a"," b"],"logprobs":true,"text":null}"#),
                ("score", #"{"messages":[{"role":"user","content":"x"}],"continuations":["a"],"logprobs":5}"#),
                ("score", #"{"text":"a","window":8,"stride":8,"prompt":null}"#),
                ("embed", #"{"input":"a"}"#), ("embed", #"{"input":["a","b"],"pooling":"last","normalize":false}"#),
            ] {
                try await insert(kind, input)
            }
            #expect(try await pool.query("SELECT 1 AS one FROM millrace.jobs").count == 5)
        }
    }

    /// A further kind is a row and a function.
    @Test func aKindBringsItsOwnCheck() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            _ = try await pool.query("INSERT INTO millrace.kinds VALUES ('echo', false), ('free', false)")
            _ = try await pool.query(
                """
                CREATE FUNCTION millrace.echo_error(input jsonb) RETURNS text LANGUAGE sql IMMUTABLE
                RETURN CASE WHEN input ->> 'say' IS NULL THEN 'input.say: missing' END
                """)
            let store = PostgresJobStore(pool: pool)
            _ = try await store.enqueue([
                NewJob(kind: "echo", input: ["say": "a"]), NewJob(kind: "free", input: ["anything": 1]),
            ])
            let error = await #expect(throws: StoreError.self) {
                try await store.enqueue([NewJob(kind: "echo", input: [:])])
            }
            #expect(error?.description == "input.say: missing")
            await pool.close()
        }
    }

    @Test func structuredOutputsAreAccepted() async throws {
        try await Self.withModel { _, pool async throws in
            for input in [
                #"{"prompt":"x","response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}}}"#,
                #"{"prompt":"x","response_format":{"type":"json_object"},"stop":[],"ignore_eos":false}"#,
                #"{"prompt":"x","response_format":{"type":"text"},"stop":"b"}"#,
                #"{"prompt":"x","response_format":null,"structured_outputs":{"regex":"a+"}}"#,
                #"{"prompt":"x","structured_outputs":{"choice":["a","b"]}}"#,
                #"{"prompt":"x","structured_outputs":{"grammar":"root ::= \"a\""},"response_format":{"type":"text"}}"#,
            ] {
                _ = try await pool.query(
                    "INSERT INTO millrace.jobs (kind, model, input) VALUES ('generate', 'm', $1)", [input])
            }
            #expect(try await pool.query("SELECT 1 AS one FROM millrace.jobs").count == 6)
        }
    }

    /// One bad row refuses the statement, and says which row it is.
    @Test func copyBringsJobsInLikeInsert() async throws {
        try await Self.withModel { database, pool async throws in
            let connection = try await PostgresConnection.connect(database.configuration)
            let rows: [[String?]] = (0..<1000).map { number in
                [
                    "generate", "m", #"{"prompt": "line \#(number)\twith a tab"}"#, number % 2 == 0 ? "a" : "b",
                    number % 10 == 0 ? "2999-01-01" : "2020-01-01",
                ]
            }
            let copy: SQL = "COPY millrace.jobs (kind, model, input, queue, run_at) FROM STDIN"
            #expect(try await connection.copyIn(copy, rows: rows) == 1000)
            let store = PostgresJobStore(pool: pool)
            #expect(try await store.queues().map(\.ready) == [400, 500])
            #expect(try await store.queues().map(\.scheduled) == [100, 0])
            let request = ClaimRequest(
                worker: try await store.worker(), queues: ["a", "b"], kinds: [.generate], models: ["m"], maximum: 2000)
            let leases = try await store.claim(request)
            #expect(leases.count == 900)
            #expect(leases.map(\.id) == leases.map(\.id).sorted())
            #expect(leases[0].input["prompt"] == "line 1\twith a tab")

            let bad: [[String?]] = [rows[1], ["generate", "m", #"{"prompt": 5}"#, "a", "2020-01-01"]]
            let error = await #expect(throws: PostgresError.self) { try await connection.copyIn(copy, rows: bad) }
            #expect(error?.message.hasPrefix("input.prompt: ") == true)
            #expect(error?.detail == "row 2 of 2")
            #expect(try await store.queues().map(\.ready) == [0, 0])
            await connection.close()
        }
    }

    @Test func oneStatementWakesEachQueueOnce() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            let store = PostgresJobStore(pool: pool)
            let listener = PostgresListener(
                database.configuration, channels: ["millrace_ready"], logger: Logger(label: "test"))
            var events = listener.events.makeAsyncIterator()
            #expect(await events.next() == .connected)
            func job(_ queue: String, delay: Double? = nil) -> NewJob {
                NewJob(kind: .noop, input: [:], queue: queue, delay: delay)
            }
            // The listener hears in the order of commits, so the last queue's message ends what the others could say.
            _ = try await store.enqueue((0..<500).map { job($0 % 2 == 0 ? "a" : "b") })
            _ = try await store.enqueue([job("later", delay: 60)])
            _ = try await store.enqueue([job("a"), job("a"), job("later", delay: 60)])
            _ = try await store.enqueue([job("end")])
            var heard: [String] = []
            while heard.last != "end", case .notification(let notification) = await events.next() {
                heard.append(notification.payload)
            }
            #expect(heard.prefix(2).sorted() == ["a", "b"])
            #expect(heard.dropFirst(2) == ["a", "end"])
            listener.stop()
            await pool.close()
        }
    }
}
