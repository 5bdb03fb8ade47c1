import JSON
import LLMPrompts
import OrderedCollections
import Testing

@Suite struct GoldenTests {
    @Test func rendersChatsAsTransformersDoes() throws {
        let chats = try Goldens.json("chats.json")
        let cases = try #require(try Goldens.json("renderings.json").arrayValue)
        #expect(cases.count > 300)
        for item in cases {
            let name = try #require(item["template"]?.stringValue)
            let chatName = try #require(item["chat"]?.stringValue)
            let template = try ChatTemplate(try Goldens.template(name))
            let chat = try Goldens.chat(try #require(chats[chatName]))
            let result = Result { () throws(TemplateError) in try template.render(chat.variables, now: Goldens.now) }
            switch (result, item["output"]?.stringValue) {
            case (.success(let text), let expected?):
                #expect(sameBytes(text, expected), "\(name), \(chatName):\n\(text)\n--- expected\n\(expected)")
            case (.failure(let error), nil):
                if case .raised(let message, _) = error {
                    #expect(message == item["error"]?.stringValue, "\(name), \(chatName)")
                }
            case (.success(let text), nil):
                Issue.record(
                    "\(name), \(chatName): rendered, but Jinja2 fails with \(item["error"]?.stringValue ?? ""): \(text)"
                )
            case (.failure(let error), _?):
                Issue.record("\(name), \(chatName): \(error)")
            }
        }
    }

    @Test func rendersSnippetsAsJinjaDoes() throws {
        let file = try Goldens.json("snippets.json")
        let context = try #require(file["context"]?.objectValue)
        let cases = try #require(file["cases"]?.arrayValue)
        #expect(cases.count > 300)
        for item in cases {
            let source = try #require(item["template"]?.stringValue)
            let result = Result { () throws(TemplateError) in
                try ChatTemplate(source).render(context, now: Goldens.now)
            }
            switch (result, item["output"]?.stringValue) {
            case (.success(let text), let expected?):
                #expect(sameBytes(text, expected), "\(source)\n--- got\n\(text)\n--- expected\n\(expected)")
            case (.failure, nil): break
            case (.success(let text), nil):
                Issue.record("\(source)\nrendered, but Jinja2 fails with \(item["error"]?.stringValue ?? ""): \(text)")
            case (.failure(let error), _?):
                Issue.record("\(source)\n\(error)")
            }
        }
    }

    @Test func marksWhatTheAssistantSaid() throws {
        let chats = try Goldens.json("chats.json")
        for item in try #require(try Goldens.json("generation.json").arrayValue) {
            let template = try ChatTemplate(try Goldens.template(try #require(item["template"]?.stringValue)))
            let name = try #require(item["chat"]?.stringValue)
            let chat = try Goldens.chat(try #require(chats[name]))
            let rendering = try template.renderMarked(chat.variables, now: Goldens.now)
            let bytes = Array(rendering.text.utf8)
            let parts = rendering.generated.map { JSONValue.string(String(decoding: bytes[$0], as: UTF8.self)) }
            #expect(.array(parts) == item["generated"])
        }
    }
}
