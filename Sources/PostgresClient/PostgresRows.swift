// The answer of a statement: rows of typed columns. Values arrive in text form and are decoded where they are read.
import CPostgres
import Foundation
import JSON

package struct PostgresRows: Sendable, RandomAccessCollection {
    private let columns: [String: Int]
    private let values: [[String?]]
    /// Rows that the statement changed or returned.
    package let affected: Int

    init(result: OpaquePointer) {
        let width = PQnfields(result)
        var columns: [String: Int] = [:]
        for column in 0..<width { columns[String(cString: PQfname(result, column))] = Int(column) }
        self.columns = columns
        values = (0..<PQntuples(result)).map { row in
            (0..<width).map { column in
                guard PQgetisnull(result, row, column) == 0 else { return nil }
                let bytes = UnsafeRawPointer(PQgetvalue(result, row, column)!)
                let count = Int(PQgetlength(result, row, column))
                return String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
            }
        }
        affected = Int(String(cString: PQcmdTuples(result))) ?? 0
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { values.count }
    package subscript(index: Int) -> PostgresRow { PostgresRow(columns: columns, values: values[index]) }
}

/// One row. Reading a column that does not exist or does not hold the type is an error that names the column.
package struct PostgresRow: Sendable {
    fileprivate let columns: [String: Int]
    fileprivate let values: [String?]

    package func optional<Value: PostgresDecodable>(
        _ column: String, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value? {
        guard let index = columns[column] else {
            throw PostgresError(kind: .permanent, message: "column \(column): not in the answer")
        }
        guard let text = values[index] else { return nil }
        guard let value = Value(postgresText: text) else {
            throw PostgresError(kind: .permanent, message: "column \(column): not a value of type \(Value.self)")
        }
        return value
    }

    package func get<Value: PostgresDecodable>(
        _ column: String, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        guard let value = try optional(column, as: type) else {
            throw PostgresError(kind: .permanent, message: "column \(column): is NULL")
        }
        return value
    }
}

/// A type that a column can be read as.
package protocol PostgresDecodable {
    init?(postgresText: String)
}

extension String: PostgresDecodable { package init?(postgresText: String) { self = postgresText } }
extension Int: PostgresDecodable { package init?(postgresText: String) { self.init(postgresText) } }
extension Int64: PostgresDecodable { package init?(postgresText: String) { self.init(postgresText) } }
extension Double: PostgresDecodable { package init?(postgresText: String) { self.init(postgresText) } }
extension UUID: PostgresDecodable { package init?(postgresText: String) { self.init(uuidString: postgresText) } }

extension Bool: PostgresDecodable {
    package init?(postgresText: String) {
        guard postgresText == "t" || postgresText == "f" else { return nil }
        self = postgresText == "t"
    }
}

extension JSONValue: PostgresDecodable {
    package init?(postgresText: String) {
        guard let value = try? JSONValue(parsing: postgresText, maximumDepth: 10_000) else { return nil }
        self = value
    }
}

extension PostgresBytes: PostgresDecodable {
    package init?(postgresText: String) {
        let text = Array(postgresText.utf8)
        guard text.starts(with: Array("\\x".utf8)), text.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2 - 1)
        func digit(_ byte: UInt8) -> UInt8? { Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init) }
        for place in stride(from: 2, to: text.count, by: 2) {
            guard let high = digit(text[place]), let low = digit(text[place + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        self.init(bytes)
    }
}

/// Arrays of numbers, as `{1,2}`.
extension Array: PostgresDecodable where Element == Int64 {
    package init?(postgresText: String) {
        guard postgresText.hasPrefix("{"), postgresText.hasSuffix("}") else { return nil }
        self = []
        for part in postgresText.dropFirst().dropLast().split(separator: ",") {
            guard let number = Int64(part) else { return nil }
            append(number)
        }
    }
}
