// A conversation in the list, or a place where a text was found. There may be thousands, so that what only
// the mouse or the keyboard bring out is made then.
import QtQuick
import Olivine

Rectangle {
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
    function end_editing() {
        editor.active = false
    }
    function show_menu() {
        menu.active = true
        menu.item.popup(entry, entry.width - menu.item.width, entry.height)
    }

    readonly property bool current: conversationId === App.conversation.id
    readonly property bool found: excerpt !== ""
    implicitHeight: found ? Theme.control * 1.5 : Theme.control
    radius: Theme.radius * 0.7
    color: current ? Theme.raised : hover.hovered ? Theme.hover : "transparent"
    border.width: focused ? 2 : 0
    border.color: Theme.accent
    Accessible.role: Accessible.ListItem
    Accessible.name: title
    Accessible.description: excerpt.replace(/<[^>]*>/g, "")
    Accessible.onPressAction: opened()

    HoverHandler { id: hover }
    TapHandler {
        onTapped: entry.opened()
        onDoubleTapped: entry.rename()
    }
    TapHandler {
        acceptedButtons: Qt.RightButton
        onTapped: entry.show_menu()
    }
    Text {
        x: Theme.spacing
        y: entry.found ? Theme.spacing * 0.75 : (parent.height - height) / 2
        width: parent.width - x - tools.width - Theme.spacing * 0.5
        text: entry.title
        textFormat: Text.PlainText
        elide: Text.ElideRight
        color: Theme.text
        font.pixelSize: Theme.fontSize * 0.93
        font.weight: entry.current ? Font.DemiBold : Font.Normal
    }
    Loader {
        active: entry.found
        x: Theme.spacing
        y: parent.height - Theme.spacing * 0.75 - height
        sourceComponent: Text {
            width: entry.width - 2 * Theme.spacing - tools.width
            text: entry.excerpt
            textFormat: Text.StyledText
            elide: Text.ElideRight
            maximumLineCount: 1
            color: Theme.muted
            font.pixelSize: Theme.small
        }
    }
    Loader {
        id: tools
        active: entry.busy || hover.hovered || entry.current || entry.focused
        width: active ? Theme.control * (entry.busy ? 1.2 : 0.9) : 0
        anchors { right: parent.right; verticalCenter: parent.verticalCenter }
        sourceComponent: Row {
            layoutDirection: Qt.RightToLeft
            spacing: Theme.spacing * 0.5
            IconButton {
                name: qsTr("What to do with this conversation")
                symbol: "more"
                size: Theme.control * 0.8
                focusPolicy: Qt.NoFocus
                onClicked: entry.show_menu()
            }
            Rectangle {
                visible: entry.busy
                width: 8 * Theme.zoom
                height: width
                radius: width / 2
                color: Theme.accent
                anchors.verticalCenter: parent.verticalCenter
            }
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
            Keys.onReturnPressed: accepted()  // and the list opens nothing
            Keys.onEnterPressed: accepted()
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
