// The text of a message: its prose, and code blocks between. Its width is given by where it stands.
import QtQuick
import Olivine

Column {
    id: body
    property alias text: blocks.text
    property alias plain: blocks.plain  // as it was typed, not as markdown
    property string find                // is highlighted

    spacing: Theme.fontSize * 0.85

    MessageBlocks {
        id: blocks
    }

    Repeater {
        model: blocks

        Loader {
            id: row
            required property string kind
            required property var model
            width: body.width
            sourceComponent: kind === "code" ? code : prose

            Component {
                id: prose
                // A Loader asks what it loads for its implicit width, and for that a TextEdit is
                // laid out once more, each time. An Item has none.
                Item {
                    implicitHeight: text.height
                    Prose {
                        id: text
                        width: row.width
                        plain: body.plain
                        markdown: row.model.text
                        find: body.find
                    }
                }
            }
            Component {
                id: code
                CodeBlock {
                    width: row.width
                    code: row.model.text
                    language: row.model.language
                    closed: row.model.closed
                    find: body.find
                }
            }
        }
    }
}
