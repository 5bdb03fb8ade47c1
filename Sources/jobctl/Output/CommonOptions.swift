// Options that every command has.
import ArgumentParser
import Foundation
import JSON
import JobSettings

struct CommonOptions: ParsableArguments {
    @Flag(help: "Print JSON instead of text.")
    var json = false

    var home: MillraceHome { MillraceHome() }

    /// Prints one JSON document on a line with `--json`, else the text.
    func show(_ value: @autoclosure () -> JSONValue, text: @autoclosure () -> String) {
        print(json ? value().text() : text())
    }

    /// News about what goes on, for people: to standard error, so that standard output stays the answer.
    func say(_ line: String) {
        if !json { FileHandle.standardError.write(Data((line + "\n").utf8)) }
    }
}
