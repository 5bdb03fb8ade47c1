// The golden files: what real Jinja2 made of the same templates (scripts/goldens/templates.py).
import Foundation
import JSON
import LLMPrompts
import OrderedCollections

enum Goldens {
    static func file(_ name: String) throws -> [UInt8] {
        guard let folder = Bundle.module.resourceURL else { throw CocoaError(.fileNoSuchFile) }
        return [UInt8](try Data(contentsOf: folder.appending(path: "Goldens/\(name)")))
    }

    static func json(_ name: String) throws -> JSONValue { try JSONValue(parsing: try file(name)) }

    static func template(_ name: String) throws -> String {
        if name.hasPrefix("gguf/") { return try json("gguf.json")[String(name.dropFirst(5))]?.stringValue ?? "" }
        return String(decoding: try file("Templates/\(name).jinja"), as: UTF8.self)
    }

    /// The moment that the generator pretends it is: 2025-03-07 16:05:09.000041.
    static let now = TemplateTime(secondsSince1970: 1_741_363_509, microseconds: 41)

    /// A chat of `chats.json` with its template's variables.
    static func chat(_ value: JSONValue) throws -> Chat {
        var chat = try Chat(messages: value["messages"])
        try chat.setTools(value["tools"])
        try chat.setDocuments(value["documents"])
        try chat.setExtra(value["extra"], field: "extra")
        chat.addGenerationPrompt = value["add_generation_prompt"]?.boolValue ?? true
        chat.beginOfText = "<s>"
        chat.endOfText = "</s>"
        return chat
    }
}

/// Swift compares strings by canonical equivalence, which would hide differences.
func sameBytes(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }
