// A block of code: its language, a button that copies it, and the code, which scrolls sideways.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

Rectangle {
    id: block
    property string code
    property string language
    property bool closed: true
    property string find

    readonly property real inset: Theme.spacing * 1.5

    implicitWidth: 400
    implicitHeight: header.height + scroller.height + 1
    radius: Theme.radius
    color: Theme.codeBackground
    border.color: Theme.border
    border.width: 1
    Accessible.role: Accessible.Grouping
    Accessible.name: colours.title === "" ? qsTr("Code") : qsTr("Code in %1").arg(colours.title)

    // Not before: completed, a TextEdit sets up its document.
    Component.onCompleted: colours.document = text.textDocument

    CodeColours {
        id: colours
        language: block.language
        closed: block.closed
        code: block.code
        dark: Theme.dark
        find: block.find
        foundColor: Theme.selection
    }

    Item {
        id: header
        x: block.inset
        width: block.width - 2 * block.inset
        height: Math.round(Theme.small * 2.5)

        Text {
            anchors.verticalCenter: parent.verticalCenter
            width: parent.width - copy.width - Theme.spacing
            text: colours.title
            elide: Text.ElideRight
            color: Theme.muted
            font.pixelSize: Theme.small
            textFormat: Text.PlainText
            Accessible.ignored: true
        }

        AbstractButton {
            id: copy
            objectName: "copyCode"
            anchors.right: parent.right
            anchors.rightMargin: -Theme.spacing * 0.75
            anchors.verticalCenter: parent.verticalCenter
            text: done.running ? qsTr("Copied") : qsTr("Copy")
            leftPadding: Theme.spacing * 0.75
            rightPadding: leftPadding
            topPadding: Theme.spacing * 0.3
            bottomPadding: topPadding
            focusPolicy: Qt.TabFocus
            Accessible.role: Accessible.Button
            Accessible.name: done.running ? qsTr("Copied") : qsTr("Copy the code")
            Keys.onReturnPressed: clicked()
            Keys.onEnterPressed: clicked()
            onClicked: {
                colours.copy()
                done.restart()
            }
            Timer {
                id: done
                interval: 2000
            }
            HoverHandler {
                cursorShape: Qt.PointingHandCursor
            }
            contentItem: Text {
                text: copy.text
                color: copy.hovered || copy.visualFocus ? Theme.text : Theme.muted
                font.pixelSize: Theme.small
                textFormat: Text.PlainText
                Accessible.ignored: true
            }
            background: Rectangle {
                radius: Theme.radius * 0.5
                color: copy.down || copy.hovered ? Theme.raised : "transparent"
                border.width: copy.visualFocus ? 2 : 0
                border.color: Theme.accent
            }
        }
    }

    Rectangle {
        anchors.top: header.bottom
        x: 1
        width: parent.width - 2
        height: 1
        color: Theme.border
    }

    Flickable {
        id: scroller
        anchors.top: header.bottom
        x: 1
        width: block.width - 2
        height: text.height
        contentWidth: text.width
        contentHeight: text.height
        flickableDirection: Flickable.HorizontalFlick
        boundsBehavior: Flickable.StopAtBounds
        interactive: contentWidth > width
        clip: true
        ScrollBar.horizontal: ScrollBar {
            policy: scroller.interactive ? ScrollBar.AsNeeded : ScrollBar.AlwaysOff
        }

        TextEdit {
            id: text
            width: Math.max(implicitWidth, scroller.width)
            padding: block.inset
            topPadding: Theme.spacing * 1.2
            bottomPadding: topPadding
            readOnly: true
            selectByMouse: true
            persistentSelection: true
            textFormat: TextEdit.PlainText
            wrapMode: TextEdit.NoWrap
            color: Theme.codeText
            selectionColor: Theme.selection
            selectedTextColor: Theme.codeText
            font.family: Theme.monoFamily
            font.pixelSize: Math.round(Theme.fontSize * 0.9)
            horizontalAlignment: TextEdit.AlignLeft
            Accessible.role: Accessible.StaticText
            Accessible.readOnly: true
            Accessible.name: block.code
            HoverHandler {
                cursorShape: Qt.IBeamCursor
            }
        }
    }
}
