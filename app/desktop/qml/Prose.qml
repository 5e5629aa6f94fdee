// Prose of a message: markdown, or text as it was typed.
import QtQuick
import Olivine

TextEdit {
    id: prose
    property string markdown
    property bool plain: false
    property string find

    readOnly: true
    selectByMouse: true
    persistentSelection: true
    textFormat: TextEdit.RichText
    wrapMode: TextEdit.WrapAtWordBoundaryOrAnywhere
    color: Theme.text
    selectionColor: Theme.selection
    selectedTextColor: Theme.text
    font.pixelSize: Theme.fontSize
    activeFocusOnPress: true
    Accessible.role: Accessible.StaticText
    Accessible.readOnly: true
    // What is shown, without the marks of markdown.
    Accessible.name: markdown === "" ? "" : getText(0, length)

    // What a model wrote opens in the browser or the mail program, and starts nothing else.
    onLinkActivated: link => {
        if (/^(https?|mailto):/i.test(link))
            Qt.openUrlExternally(link)
    }

    // Not before: completed, a TextEdit empties its document.
    Component.onCompleted: rendered.document = textDocument

    HoverHandler {
        cursorShape: prose.hoveredLink !== "" ? Qt.PointingHandCursor : Qt.IBeamCursor
    }

    MarkdownDocument {
        id: rendered
        plain: prose.plain
        markdown: prose.markdown
        find: prose.find
        textColor: Theme.text
        mutedColor: Theme.muted
        linkColor: Theme.accent
        codeBackground: Theme.raised
        borderColor: Theme.border
        foundColor: Theme.selection
        fontPixelSize: Theme.fontSize
        monoFamily: Theme.monoFamily
    }

    Repeater {
        model: rendered.decorations
        Rectangle {
            required property var modelData
            readonly property string kind: modelData.kind
            z: kind === "head" ? -2 : -1
            x: modelData.x
            y: modelData.y
            width: modelData.width
            height: modelData.height
            radius: kind === "bar" ? width / 2 : kind === "rule" ? 0 : Theme.radius * 0.6
            color: kind === "panel" ? Theme.codeBackground
                 : kind === "head" ? Theme.surface
                 : kind === "grid" ? "transparent" : Theme.border
            border.color: Theme.border
            border.width: kind === "grid" ? 1 : 0
        }
    }
}
