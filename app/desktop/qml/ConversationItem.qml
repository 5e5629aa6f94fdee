// A conversation in the list, or a place where a text was found.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

ItemDelegate {
    id: entry
    required property int index
    required property var conversationId
    required property string title
    required property bool busy
    required property var message
    required property string excerpt
    property bool focused: false
    signal opened()
    signal export_wanted(string format)

    function rename() {
        editor.active = true
    }

    readonly property bool current: conversationId === App.conversation.id
    implicitHeight: excerpt === "" ? Theme.control : Theme.control * 1.5
    padding: 0
    leftPadding: Theme.spacing
    rightPadding: Theme.spacing * 0.5
    focusPolicy: Qt.NoFocus
    Accessible.role: Accessible.ListItem
    Accessible.name: title
    Accessible.description: excerpt
    Accessible.onPressAction: opened()
    onClicked: opened()
    onDoubleClicked: rename()

    background: Rectangle {
        radius: Theme.radius * 0.7
        color: entry.current ? Theme.raised : entry.hovered ? Theme.hover : "transparent"
        border.width: entry.focused ? 2 : 0
        border.color: Theme.accent
    }
    contentItem: Item {
        Column {
            anchors.verticalCenter: parent.verticalCenter
            width: parent.width - (more.visible ? more.width : 0) - (dot.visible ? dot.width + Theme.spacing : 0)
            Text {
                width: parent.width
                text: entry.title
                textFormat: Text.PlainText
                elide: Text.ElideRight
                color: Theme.text
                font.pixelSize: Theme.fontSize * 0.93
                font.weight: entry.current ? Font.DemiBold : Font.Normal
            }
            Text {
                width: parent.width
                visible: entry.excerpt !== ""
                text: entry.excerpt
                textFormat: Text.StyledText
                elide: Text.ElideRight
                maximumLineCount: 1
                color: Theme.muted
                font.pixelSize: Theme.small
            }
        }
        Rectangle {
            id: dot
            visible: entry.busy
            width: 8 * Theme.zoom
            height: width
            radius: width / 2
            color: Theme.accent
            anchors.verticalCenter: parent.verticalCenter
            anchors.right: more.left
            anchors.rightMargin: Theme.spacing * 0.5
        }
        IconButton {
            id: more
            name: qsTr("What to do with “%1”").arg(entry.title)
            symbol: "more"
            size: Theme.control * 0.8
            focusPolicy: Qt.NoFocus
            visible: entry.hovered || entry.current || entry.focused
            anchors.right: parent.right
            anchors.verticalCenter: parent.verticalCenter
            onClicked: {
                menu.active = true
                menu.item.popup(0, height)
            }
        }
        Loader {
            id: menu
            active: false
            sourceComponent: StyledMenu {
                StyledMenuItem {
                    text: qsTr("Rename")
                    keys: "F2"
                    symbol: "edit"
                    onTriggered: entry.rename()
                }
                StyledMenuItem {
                    text: qsTr("Export as Markdown…")
                    symbol: "export"
                    onTriggered: entry.export_wanted("md")
                }
                StyledMenuItem {
                    text: qsTr("Export as JSON…")
                    symbol: "export"
                    onTriggered: entry.export_wanted("json")
                }
                StyledMenuItem {
                    text: qsTr("Remove")
                    keys: "Del"
                    symbol: "trash"
                    dangerous: true
                    onTriggered: App.conversations.remove(entry.conversationId)
                }
            }
        }
    }
    Loader {
        id: editor
        active: false
        anchors.fill: parent
        sourceComponent: Field {
            objectName: "renameField"
            name: qsTr("Title of the conversation")
            text: entry.title
            maximumLength: 200
            Component.onCompleted: {
                forceActiveFocus()
                selectAll()
            }
            onAccepted: {
                if (entry.conversationId === App.conversation.id)
                    App.conversation.rename(text)
                else
                    App.conversations.rename(entry.conversationId, text)
                editor.active = false
            }
            Keys.onShortcutOverride: event => event.accepted = event.key === Qt.Key_Escape
            Keys.onEscapePressed: editor.active = false
            onActiveFocusChanged: if (!activeFocus) editor.active = false
        }
    }
}
